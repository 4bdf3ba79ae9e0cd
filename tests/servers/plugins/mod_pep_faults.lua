-- A PEP service with faults, for tests. The first word of the file `pep_faults_file` says which, read at each iq:
--   refuse        publishing is forbidden
--   absent        accounts have no PEP
--   precondition  the node is otherwise than the options of a publish ask; without options it is published
--   lose          publishing seems to succeed, and nothing is stored
--   off           none; also if there is no file
local st = require "util.stanza";

local path = module:get_option_string("pep_faults_file");
local xmlns_pubsub = "http://jabber.org/protocol/pubsub";
local xmlns_owner = "http://jabber.org/protocol/pubsub#owner";
local xmlns_errors = "http://jabber.org/protocol/pubsub#errors";

local function fault()
	local file = path and io.open(path, "r");
	local word = file and file:read("*l");
	if file then file:close(); end
	return word and word:match("^%s*(%S+)") or "off";
end

local function answer(event, reply)
	event.origin.send(reply);
	return true;
end

local function handle(event)
	local stanza = event.stanza;
	local pubsub = stanza.tags[1];
	local now = fault();
	local publish = stanza.attr.type == "set" and pubsub:get_child("publish");
	if now == "absent" then
		return answer(event, st.error_reply(stanza, "cancel", "service-unavailable"));
	elseif not publish then
		return;
	elseif now == "refuse" then
		return answer(event, st.error_reply(stanza, "auth", "forbidden"));
	elseif now == "precondition" and pubsub:get_child("publish-options") then
		local reply = st.error_reply(stanza, "cancel", "conflict");
		return answer(event, reply:tag("precondition-not-met", { xmlns = xmlns_errors }));
	elseif now == "lose" then
		local item = publish:get_child("item");
		local reply = st.reply(stanza):tag("pubsub", { xmlns = xmlns_pubsub })
			:tag("publish", { node = publish.attr.node });
		if item then reply:tag("item", { id = item.attr.id or "current" }); end
		return answer(event, reply);
	end
end

-- Before mod_pep. To an account, to the own one without an address, and to the host.
for _, xmlns in ipairs({ xmlns_pubsub, xmlns_owner }) do
	for _, target in ipairs({ "bare", "self", "host" }) do
		module:hook("iq/" .. target .. "/" .. xmlns .. ":pubsub", handle, 100);
	end
end
