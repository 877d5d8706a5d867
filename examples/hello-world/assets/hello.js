// The hello-world page's behaviour: say something, hear what all say, show how the connection is.

import { connect } from "/whisk/whisk.js";

const settings = JSON.parse(document.getElementById("whisk-settings").textContent);
const notice = document.getElementById("world-notice");
const replies = document.getElementById("world-reply");
const form = document.getElementById("say");
const entry = document.getElementById("chat-entry");
const button = document.getElementById("button-chat-entry");
const problem = document.getElementById("problem");

/** The page keeps this many replies. */
const REPLIES_MAX = 200;

function show(state, text) {
  notice.dataset.state = state;
  notice.textContent = text;
  button.disabled = state !== "connected";
}

function complain(text) {
  problem.textContent = text;
  problem.hidden = text === "";
}

// Text, never HTML: what others say cannot become part of the page.
function addReply(text, own) {
  replies.querySelector(".empty")?.remove();
  const item = document.createElement("li");
  item.textContent = text;
  item.classList.toggle("own", own);
  replies.append(item);
  while (replies.children.length > REPLIES_MAX) replies.firstElementChild.remove();
  item.scrollIntoView({ block: "nearest" });
}

const client = connect({
  // The node that the server chose comes first; when it is gone, the others are tried.
  url: settings.nodes,
  token: settings.ws_token,
  groups: {
    app: {
      "world.reply": (reply) => {
        addReply(String(reply.message), reply.originating_user_id === settings.user_id);
      },
    },
  },
});

client.on("connect", ({ address }) => {
  // An address reads ns/nid/tid; the page shows the node: ws-1.
  const [ns, nid] = address.split("/");
  show("connected", `Connected to ${ns}-${nid}`);
  complain("");
});
client.on("disconnect", ({ willReconnect }) => {
  if (willReconnect) show("reconnecting", "Connection lost. Reconnecting…");
});
client.on("reconnecting", ({ attempt }) => show("reconnecting", `Reconnecting… (attempt ${attempt})`));
client.on("close", ({ reason }) => show("disconnected", `Disconnected (${reason}). Reload to come back.`));

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const message = entry.value.trim();
  if (message === "") return;
  button.disabled = true;
  try {
    await client.emitWithAck("world.say", { message });
    entry.value = "";
    complain("");
  } catch (error) {
    complain(`That was not said: ${error.message}`);
  } finally {
    button.disabled = client.state !== "connected";
    entry.focus();
  }
});
