// The live roster: one entry per user, with its tabs beneath.

import { byId, make, Rows, timeOf } from "/dom.js";

/** The server made the user's id, so the role in it is its word, other than the name. */
const roleOf = (user) => String(user).split("-")[0];

export const nameOf = (member) => member.label ?? String(member.user);
export const isStudent = (user) => roleOf(user) === "student";

/** Nothing beside a user or a tab. */
export const NO_TOOLS = { element: "", update() {}, remove() {} };
const noTools = () => NO_TOOLS;

/**
 * Shows who is on a channel, for as long as the page lives.
 *
 * @param presence of the channel
 * @param own the own user's id
 * @param {{ ofUser?: Function, ofTab?: Function }} tools what stands beside a user or a tab: each gives
 *   `{ element, update(item), remove() }`
 */
export function showRoster(presence, own, { ofUser = noTools, ofTab = noTools } = {}) {
  const rows = new Rows(byId("roster"), (user) => userRow(user, presence, own, ofUser, ofTab));
  const draw = () => {
    const { members, users } = presence;
    rows.show(users.map((entry) => [entry.user, entry]));
    const here = members.filter(({ state }) => state === "connected").length;
    const dropped = members.length - here;
    byId("count").textContent = dropped === 0 ? `${here} here` : `${here} here, ${dropped} dropped`;
  };
  for (const event of ["connected", "disconnected", "reconnected", "removed", "updated"]) {
    presence.on(`client.${event}`, draw);
  }
  presence.on("seen", draw);
  presence.ready.then(draw, () => {});
}

function userRow(entry, presence, own, ofUser, ofTab) {
  const name = make("strong", { className: "name" });
  const hand = make("span", { className: "badge hand", hidden: true }, "hand raised");
  const you = entry.user === own ? [make("span", { className: "badge own" }, "you")] : [];
  const role = make("span", { className: "badge" }, roleOf(entry.user));
  const id = make("span", { className: "soft" }, String(entry.user));
  const tabs = make("ul", { className: "tabs" });
  const rows = new Rows(tabs, (member) => tabRow(member, presence, ofTab));
  const tools = ofUser(entry);
  const head = make("div", { className: "head" }, name, role, ...you, id, hand, tools.element);
  const element = make("li", { className: "user" }, head, tabs);
  element.dataset.user = entry.user;
  const update = (now) => {
    element.dataset.state = now.state;
    name.textContent = nameOf(now.clients[0]);
    hand.hidden = !now.clients.some(({ meta }) => meta?.hand === true);
    rows.show(now.clients.map((member) => [member.client, member]));
    tools.update(now);
  };
  const remove = () => {
    rows.show([]);
    tools.remove();
  };
  return { element, update, remove };
}

function tabRow(member, presence, ofTab) {
  const text = make("span", { className: "when" });
  const tools = ofTab(member);
  const element = make("li", { className: "tab" }, text, tools.element);
  element.dataset.client = member.client;
  const own = member.client === presence.client ? "this tab, " : "";
  const update = (now) => {
    element.dataset.state = now.state;
    text.textContent =
      now.state === "connected"
        ? `${own}connected since ${timeOf(now.first_seen)}`
        : `dropped, last seen ${timeOf(now.last_seen)}`;
    tools.update(now);
  };
  return { element, update, remove: tools.remove };
}
