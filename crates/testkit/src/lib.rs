//! What the tests, examples, benches and fuzzers of xmpp-e2e share.
