"""show.py JID PASSWORD HOST PORT: a client that prints what it is told, a line each. Made with slixmpp 1.8."""

import sys

import slixmpp


class Show(slixmpp.ClientXMPP):
    def __init__(self, jid, password):
        super().__init__(jid, password)
        # There is no TLS.
        self["feature_mechanisms"].unencrypted_plain = True
        self.add_event_handler("session_start", self.start)
        self.add_event_handler("message", self.message)

    async def start(self, _):
        await self.get_roster()
        self.send_presence()
        print("online", self.boundjid, flush=True)

    def message(self, message):
        if message["type"] == "error":
            print("error", message, flush=True)
        elif message["body"]:
            print(message["from"], message["type"], message["body"], flush=True)


client = Show(*sys.argv[1:3])
client.connect((sys.argv[3], int(sys.argv[4])), disable_starttls=True)
client.process(forever=True)
