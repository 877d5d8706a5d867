"""The Python client of Socket.IO as a peer of the conformance program.

Usage: peer.py URL TRANSPORT[,TRANSPORT]. Ends with 0 when everything was as the protocol has it;
else the failed step and its reason are printed.
"""

import queue
import sys
import time

import socketio

DEADLINE = 10
BINARY = bytes(range(256))


class Peer:
    """A client that keeps what it hears until somebody looks."""

    def __init__(self, url, transports, auth=None, namespaces=("/",), refusals=None):
        self.heard = queue.Queue()
        self.client = socketio.Client(reconnection=False)
        for namespace in namespaces:
            self.client.on("*", self._listen(namespace), namespace=namespace)
            self.client.on("disconnect", self._gone(namespace), namespace=namespace)
            if refusals is not None:
                self.client.on("connect_error", refusals.append, namespace=namespace)
        self.client.connect(
            url,
            auth=auth,
            transports=transports,
            namespaces=list(namespaces),
            wait_timeout=DEADLINE,
        )

    def _listen(self, namespace):
        def listen(event, *args):
            self.heard.put((namespace, event, args))
            # An acknowledgement, if one is asked for: what came, in reverse.
            return tuple(reversed(args))

        return listen

    def _gone(self, namespace):
        def gone(reason):
            self.heard.put((namespace, "disconnect", (reason,)))

        return gone

    def next(self, event, namespace="/"):
        """The arguments of the next event of this name; what came before it is let go."""
        end = time.monotonic() + DEADLINE
        while True:
            one = self.heard.get(timeout=max(end - time.monotonic(), 0.001))
            if one[:2] == (namespace, event):
                return one[2]

    def hears_nothing_of(self, event):
        """Whether none of this name came before the answer to a question."""
        self.client.call("echo", "done", timeout=DEADLINE)
        names = []
        while not self.heard.empty():
            names.append(self.heard.get()[1])
        return event not in names


def events(url, transports):
    peer = Peer(url, transports, auth={"token": "123"}, namespaces=("/", "/custom"))
    same(peer.next("auth"), ({"token": "123"},))
    same(peer.next("auth", "/custom"), ({"token": "123"},))
    different(peer.client.get_sid("/"), peer.client.get_sid("/custom"))
    for args in [("text",), (1, "2", {"3": [True, None]}), (BINARY,), ("é\u2028", {"deep": [BINARY, b""]})]:
        peer.client.emit("message", args)
        same(peer.next("message-back"), args)
        peer.client.emit("message", args, namespace="/custom")
        same(peer.next("message-back", "/custom"), args)
    peer.client.disconnect()


def acknowledgements(url, transports):
    peer = Peer(url, transports)
    for args in [("text",), (1, "2", {"3": [False]}), (BINARY, {"deep": [BINARY]})]:
        answer = peer.client.call("message-with-ack", args, timeout=DEADLINE)
        same(answer, args if len(args) > 1 else args[0])
    for n in range(100):
        same(peer.client.call("echo", n, timeout=DEADLINE), n)
    peer.client.emit("emit-with-ack", (1, BINARY))
    same(peer.next("emit-with-ack"), (1, BINARY))
    same(peer.next("emit-with-ack"), (BINARY, 1))
    peer.client.disconnect()


def rooms(url, transports):
    here, there, away = (Peer(url, transports) for _ in range(3))
    for peer in (here, there):
        same(peer.client.call("join", "tea", timeout=DEADLINE), "tea")
    same(here.client.call("to-room", ("tea", "hello"), timeout=DEADLINE), "ok")
    same(there.next("room-msg"), ("tea", "hello"))
    same(here.hears_nothing_of("room-msg"), True)
    same(away.hears_nothing_of("room-msg"), True)
    same(there.client.call("leave", "tea", timeout=DEADLINE), "tea")
    same(here.client.call("to-room", ("tea", "again"), timeout=DEADLINE), "ok")
    same(there.hears_nothing_of("room-msg"), True)
    same(here.client.call("to-all", "everyone", timeout=DEADLINE), "ok")
    here.client.emit("bcast", "news")
    for peer in (here, there, away):
        same(peer.next("all-msg"), ("everyone",))
        same(peer.next("msg"), ("news",))
        peer.client.disconnect()


def refused(url, transports):
    for auth in (None, {"token": "guess"}):
        refusals = []
        try:
            Peer(url, transports, auth=auth, namespaces=("/guarded",), refusals=refusals)
        except socketio.exceptions.ConnectionError:
            same([refusal["message"] for refusal in refusals], ["not authorized"])
        else:
            raise AssertionError("the guard let a stranger in")
    friend = Peer(url, transports, auth={"token": "letmein"}, namespaces=("/guarded",))
    same(friend.client.call("echo", "in", namespace="/guarded", timeout=DEADLINE), "in")
    friend.client.disconnect()
    kicked = Peer(url, transports)
    kicked.client.emit("kick")
    same(kicked.next("disconnect"), (kicked.client.reason.SERVER_DISCONNECT,))


def heartbeats(url, transports):
    peer = Peer(url, transports)
    wanted = "websocket" if "websocket" in transports else "polling"
    end = time.monotonic() + DEADLINE
    # The pings of some periods are answered, and the transport is the best one by then.
    until = time.monotonic() + 1.5
    while peer.client.transport() != wanted or time.monotonic() < until:
        same(peer.client.call("echo", "alive", timeout=DEADLINE), "alive")
        if time.monotonic() > end:
            raise AssertionError(f"the transport is {peer.client.transport()}")
    peer.client.disconnect()


def same(found, wanted):
    if found != wanted:
        raise AssertionError(f"{found!r} is not {wanted!r}")


def different(one, other):
    if one == other:
        raise AssertionError(f"both are {one!r}")


if __name__ == "__main__":
    for step in (events, acknowledgements, rooms, refused, heartbeats):
        try:
            step(sys.argv[1], sys.argv[2].split(","))
        except Exception as error:
            print(f"{step.__name__}: {error!r}")
            raise
        print(f"{step.__name__}: ok")
