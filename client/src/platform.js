// What a browser knows of its network and of sleep, and where it shows errors.

/** Shows an error that nobody listens for, without stopping the client. */
export function report(error) {
  if (typeof globalThis.reportError === "function") globalThis.reportError(error);
  else console.error(error);
}

/** Listens to what a browser knows of the network and of sleep. Returns how to stop listening. */
export function watchPlatform(online, visible) {
  const { document } = globalThis;
  const onVisible = () => {
    if (document.visibilityState === "visible") visible();
  };
  globalThis.addEventListener?.("online", online);
  document?.addEventListener?.("visibilitychange", onVisible);
  return () => {
    globalThis.removeEventListener?.("online", online);
    document?.removeEventListener?.("visibilitychange", onVisible);
  };
}
