// The proctor's page: watches the roster, checks speeds, asks in private, tells all, sends away.

import { addLine, byId, make, textOf, timeOf } from "/dom.js";
import { client, complain, enterRoom, run, settings } from "/room.js";
import { isStudent, nameOf, NO_TOOLS } from "/roster.js";

/** How often speeds are checked, and how long an answer may take: longer, so beats are left out. */
const CHECK_MS = 2_000;
const CHECK_TIMEOUT_MS = 3_000;

/** How long a student may think about a question: as long as a request may take. */
const ANSWER_MS = 60_000;

/** The room, and what only proctors hear. */
let exam;
let staff;

/** Every tab's check, so that all can be started and stopped. */
const checks = new Set();
let checkingAll = false;

run(async () => {
  staff = await client.subscribe(`staff:${settings.person.room}`);
  staff.on("sent_away", ({ by, user, reason }) => {
    addLine(byId("activity"), `${textOf(by)} sent ${textOf(user)} away: ${textOf(reason)}`);
  });
  exam = await enterRoom({ ofUser, ofTab });
  exam.presence.on("client.updated", ({ member }) => {
    if (member.meta?.hand === true) addLine(byId("activity"), `${nameOf(member)} raised a hand`);
  });
  exam.presence.on("client.removed", ({ client: of }) => knocked.delete(of));
  exam.presence.on("seen", ({ seen }) => seen.forEach(([of]) => answered(of)));
});

// What stands beside a student and each of its tabs; beside proctors nothing does.

function ofUser(entry) {
  return isStudent(entry.user) ? { ...NO_TOOLS, element: sendAway(entry) } : NO_TOOLS;
}

function ofTab(member) {
  if (!isStudent(member.user)) return NO_TOOLS;
  const check = speedCheck(member);
  return { ...check, element: make("span", { className: "tools" }, check.element, askForm(member)) };
}

// -- speed checks

/** Asks one tab, once or again and again, and shows how long the answer took. */
function speedCheck(member) {
  const { client: to } = member;
  const ariaLabel = `Check the speed of ${nameOf(member)}`;
  const button = make("button", { type: "button", className: "quiet", ariaLabel }, "Check speed");
  const took = make("output", { className: "speed", ariaLabel: "Speed" });
  let now = member;
  let beats = 0;
  let stop = null;

  const request = () => ({ topic: "speed_check", data: { beat: beats + 1 }, to, timeoutMs: CHECK_TIMEOUT_MS });
  const show = (text) => {
    took.textContent = text;
  };
  const replied = ({ tookMs }) => {
    beats += 1;
    const ms = tookMs < 1 ? "< 1 ms" : `${tookMs} ms`;
    show(beats === 1 ? ms : `${ms}, checked ${beats} times`);
  };
  const failed = (error) => show(error.code === "timeout" ? "no answer" : `no answer (${error.code})`);

  button.addEventListener("click", async () => {
    show("…");
    const { topic, data, ...options } = request();
    await exam.request(topic, data, options).then(replied, failed);
  });
  const check = {
    // A tab that dropped is not asked: nothing leaves the beat out.
    start() {
      const next = () => (now.state === "connected" ? request() : undefined);
      stop ??= exam.every(CHECK_MS, next, replied, { onError: failed });
    },
    stop() {
      stop?.();
      stop = null;
    },
  };
  checks.add(check);
  if (checkingAll) check.start();
  return {
    element: make("span", {}, button, took),
    update(member) {
      now = member;
    },
    remove() {
      check.stop();
      checks.delete(check);
    },
  };
}

byId("check-all").addEventListener("click", () => {
  checkingAll = !checkingAll;
  byId("check-all").ariaPressed = String(checkingAll);
  for (const check of checks) checkingAll ? check.start() : check.stop();
});

// -- questions in private

function askForm(member) {
  const name = nameOf(member);
  const text = make("input", { maxLength: 500, required: true, ariaLabel: `Question to ${name}` });
  const form = make("form", { className: "line", autocomplete: "off" }, text, make("button", {}, "Ask"));
  const summary = make("summary", { ariaLabel: `Ask ${name}` }, "Ask…");
  const details = make("details", {}, summary, form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const question = text.value;
    const answer = make("strong", { className: "answer" }, "…");
    addLine(byId("asked"), `${name}, ${question} `, answer);
    text.value = "";
    details.open = false;
    answer.textContent = await ask(member.client, question);
  });
  return details;
}

/** What a student says to a question, or why nothing. */
async function ask(to, text) {
  const question = { text, answer_ms: ANSWER_MS };
  try {
    const { data } = await exam.request("question", question, { to, timeoutMs: ANSWER_MS });
    return textOf(data?.answer);
  } catch (error) {
    if (error.code === "declined") return "(rather not)";
    return error.code === "timeout" ? "(no answer)" : `(no answer: ${error.code})`;
  }
}

// -- to all

byId("tell").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = byId("notice").value;
  try {
    await exam.publish("notice", { text });
    addLine(byId("told"), text);
    byId("notice").value = "";
    complain("");
  } catch (error) {
    complain(`That was not told: ${error.message}`);
  }
});

/** Who gave a sign of life since the last knock. */
const knocked = new Set();

byId("knock").addEventListener("click", async () => {
  knocked.clear();
  byId("knocked").textContent = "Knocked…";
  await exam.presence.knock().catch((error) => complain(`Nobody heard that: ${error.message}`));
});

function answered(of) {
  knocked.add(of);
  const { size } = exam.presence;
  byId("knocked").textContent = `${knocked.size} of ${size} gave a sign of life at ${timeOf(Date.now())}`;
}

// -- sending away

function sendAway({ clients: [first] }) {
  const label = `Why ${nameOf(first)} has to go`;
  const reason = make("input", { maxLength: 200, required: true, ariaLabel: label });
  const go = make("button", { className: "danger" }, "Send away");
  const form = make("form", { className: "line", autocomplete: "off" }, reason, go);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await staff.request("send_away", { client: first.client, reason: reason.value });
      complain("");
    } catch (error) {
      complain(`Nobody was sent away: ${error.message}`);
    }
  });
  const summary = make("summary", { ariaLabel: `Send ${nameOf(first)} away` }, "Send away…");
  return make("details", {}, summary, form);
}
