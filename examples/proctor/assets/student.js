// The student's page: hears notices, answers the proctor's questions, raises a hand.

import { WhiskError } from "/whisk/whisk.js";
import { addLine, byId, make, textOf, timeOf } from "/dom.js";
import { complain, enterRoom, run } from "/room.js";

/** How long a question stands, unless it says so. */
const ANSWER_MS = 60_000;

run(async () => {
  const exam = await enterRoom();

  exam.on("notice", ({ text }) => addLine(byId("notices"), textOf(text)));

  // The page itself answers: nobody has to do anything for it.
  exam.on("speed_check", ({ beat }) => {
    byId("checked").textContent = `Speed checked at ${timeOf(Date.now())}`;
    return { beat };
  });

  // Whoever sits here answers: what the handler promises goes back as the reply.
  exam.on("question", ({ text, answer_ms }) => ask(textOf(text), Number(answer_ms) || ANSWER_MS));

  raiseHands(exam.presence);
});

/** Shows a question and promises its answer, or nothing when nobody waits for one any more. */
function ask(text, answerMs) {
  return new Promise((resolve, reject) => {
    const answer = make("input", { maxLength: 500, required: true, ariaLabel: "Your answer" });
    const no = make("button", { type: "button", className: "quiet" }, "Rather not");
    const send = make("button", { type: "submit" }, "Answer");
    const form = make("form", { className: "line", autocomplete: "off" }, answer, send, no);
    const card = make("div", { className: "question" }, make("p", {}, text), form);
    const end = (settle, value) => {
      card.remove();
      settle(value);
    };
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      end(resolve, { answer: answer.value });
    });
    no.addEventListener("click", () => end(reject, new WhiskError("declined", "rather not")));
    setTimeout(() => end(resolve, undefined), answerMs);
    byId("questions").append(card);
    // Whoever is writing another answer is left alone.
    if (!byId("questions").contains(document.activeElement)) answer.focus();
  });
}

function raiseHands(presence) {
  const button = byId("hand");
  button.addEventListener("click", async () => {
    const hand = button.ariaPressed !== "true";
    button.disabled = true;
    try {
      // All see it on the roster.
      await presence.update({ meta: { hand } });
      button.ariaPressed = String(hand);
      button.textContent = hand ? "Take the hand down" : "Raise a hand";
      complain("");
    } catch (error) {
      complain(`Nobody saw that: ${error.message}`);
    } finally {
      button.disabled = false;
    }
  });
}
