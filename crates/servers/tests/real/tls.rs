//! Log-in over TLS, both ways to it, and not to a server whose certificate nobody vouches for.

use std::io::Write;
use std::process::{Command, Stdio};

use xmpp_e2e_servers::{Missing, Servers, chat_program};

use crate::{Tests, add};

pub(crate) fn add_tests(all: &mut Tests) {
    for (instance, domain) in [("a", "a.test"), ("e", "e.test")] {
        add(all, format!("TLS, {domain}"), move || tls(instance, domain));
    }
}

async fn tls(instance: &'static str, domain: &'static str) -> Result<(), Missing> {
    let servers = Servers::new(6, &[instance]).with("XMPP_TEST_REQUIRE_TLS", "true").start()?;
    let plain = servers.address(domain);
    let direct = plain.replace(":5222", ":5223");
    for (way, address, vouched, online) in [
        ("starttls", &plain, true, true),
        ("direct", &direct, true, true),
        ("starttls", &plain, false, false),
        ("direct", &direct, false, false),
    ] {
        let store = std::env::temp_dir().join(format!("xmpp-e2e-tls-{}-{way}-{vouched}", std::process::id()));
        let mut command = Command::new(chat_program());
        command.args([
            "--server",
            address,
            "--tls",
            way,
            "--wait",
            "3",
            &format!("carol@{domain}"),
            "--store",
        ]);
        command.arg(&store).env("XMPP_PASSWORD", "secret").stdin(Stdio::piped()).stdout(Stdio::piped());
        if vouched {
            command.env("SSL_CERT_FILE", servers.authority());
        }
        let mut chat = command.spawn().expect("the program");
        let mut input = chat.stdin.take().expect("its input");
        // Its end waits for the log-in, for a while.
        input.write_all(b"/who\n").expect("it reads");
        drop(input);
        let said = chat.wait_with_output().expect("it ends").stdout;
        let said = String::from_utf8_lossy(&said);
        let _ = std::fs::remove_file(&store);
        assert_eq!(said.contains("online\tcarol@"), online, "{way}, vouched for: {vouched}: {said}");
    }
    Ok(())
}
