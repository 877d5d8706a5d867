// What is asked again and again.

/**
 * Runs `beat` every `ms`, and leaves a beat out while the one before it still runs.
 * @param {() => Promise<void>} beat never rejects
 * @returns {() => void} stops it; a beat that runs then runs to its end
 */
export function repeat(timers, ms, beat) {
  let timer = null;
  let running = false;
  const tick = async () => {
    timer = timers.setTimeout(tick, ms);
    if (running) return;
    running = true;
    await beat();
    running = false;
  };
  timer = timers.setTimeout(tick, ms);
  return () => timers.clearTimeout(timer);
}
