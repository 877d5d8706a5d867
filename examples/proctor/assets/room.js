// What both pages share: the connection, the room's channel, its roster, what happened, the end.

import { clientSecret, connect } from "/whisk/whisk.js";
import { addLine, byId } from "/dom.js";
import { nameOf, showRoster } from "/roster.js";

export const settings = JSON.parse(byId("whisk-settings").textContent);
const { person } = settings;

// A tab is the same client when it comes back, also after a reload.
sessionStorage.whiskClient ??= clientSecret();

export const client = connect({
  url: settings.nodes,
  token: settings.ws_token,
  client: sessionStorage.whiskClient,
});

/** Shows what went wrong, until something else is said, or nothing. */
export function complain(text) {
  byId("problem").textContent = text;
  byId("problem").hidden = text === "";
}

// -- the connection

function show(state, text) {
  byId("state").dataset.state = state;
  byId("state").textContent = text;
}

client.on("connect", ({ address }) => {
  // An address reads ns/nid/tid; the page shows the node: ws-1.
  const [ns, nid] = address.split("/");
  show("connected", `Connected to ${ns}-${nid}`);
});
client.on("disconnect", ({ willReconnect }) => {
  if (willReconnect) show("reconnecting", "Connection lost. Reconnecting…");
});
client.on("reconnecting", ({ attempt }) => show("reconnecting", `Reconnecting… (attempt ${attempt})`));
client.on("close", ({ reason, bootReason }) => {
  show("disconnected", "Disconnected");
  if (reason === "booted") over(`You were sent away: ${bootReason}`);
  else over(`This is over (${reason}).`);
});

/** The page's end: it does not come back by itself. The first reason counts. */
function over(text) {
  if (!byId("over").hidden) return;
  byId("over-text").textContent = text;
  byId("over").hidden = false;
  byId("room").inert = true;
  byId("leave").disabled = true;
}

// -- the room

const HAPPENED = {
  "client.connected": "came",
  "client.disconnected": "dropped out",
  "client.reconnected": "came back",
  "client.removed": "left",
};

/**
 * Enters the room, as one of its roster.
 *
 * @param tools what stands beside users and tabs, as `showRoster` takes it
 * @returns the channel
 */
export async function enterRoom(tools) {
  const exam = await client.subscribe(`exam:${person.room}`, { presence: { label: person.name } });
  const { presence } = exam;
  for (const [event, text] of Object.entries(HAPPENED)) {
    presence.on(event, ({ client: of, member }) => {
      const line = addLine(byId("activity"), `${nameOf(member)} ${text}`);
      Object.assign(line.dataset, { event, client: of });
    });
  }
  showRoster(presence, settings.user_id, tools);
  const seconds = settings.dropped_after_ms / 1000;
  byId("hint").textContent = `Who is not heard for ${seconds} s counts as dropped.`;
  exam.onStatus((status, error) => {
    complain(status === "retrying" ? `The room is out of reach (${error.code}). Trying again…` : "");
    if (status === "removed" || status === "refused") over(`You may not be here: ${error.message}`);
  });
  byId("leave").addEventListener("click", async () => {
    byId("leave").disabled = true;
    // The others see it at once.
    await exam.leave();
    over("You left the room.");
    client.close();
  });
  byId("room").inert = false;
  return exam;
}

/** Runs the page; what keeps it from starting is shown. */
export async function run(page) {
  try {
    await page();
  } catch (error) {
    complain(`The room cannot be entered: ${error.message} Reload to try again.`);
  }
}
