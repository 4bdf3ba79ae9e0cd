//! A client that sends any bytes: what a stranger, or a broken program, does.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A logged-in stream.
#[derive(Debug)]
pub struct Raw {
    stream: TcpStream,
    /// All that came.
    pub received: String,
    /// The full JID.
    pub jid: String,
}

impl Raw {
    /// Logs in with PLAIN.
    ///
    /// # Panics
    /// If the server does not let it.
    pub async fn log_in(address: &str, account: &str, resource: &str) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        let (user, domain) = account.split_once('@').expect("an account");
        let mut raw = Self { stream, received: String::new(), jid: format!("{account}/{resource}") };
        let header = format!(
            "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams' to='{domain}' version='1.0'>"
        );
        raw.send(&header).await;
        raw.until("</stream:features>").await;
        let credentials = STANDARD.encode(format!("\0{user}\0secret"));
        raw.send(&format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{credentials}</auth>"
        ))
        .await;
        raw.until("<success").await;
        raw.send(&header).await;
        raw.until("</stream:features>").await;
        raw.send(&format!(
            "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{resource}</resource></bind></iq>"
        ))
        .await;
        raw.until("</iq>").await;
        raw
    }

    /// Sends bytes.
    ///
    /// # Panics
    /// If the stream is closed.
    pub async fn send(&mut self, bytes: &str) {
        self.stream.write_all(bytes.as_bytes()).await.expect("an open stream");
    }

    /// Reads until `mark` has come after what was read before.
    ///
    /// # Panics
    /// If it does not come within ten seconds.
    pub async fn until(&mut self, mark: &str) -> String {
        let start = self.received.len();
        let reading = async {
            let mut buffer = [0; 8192];
            while !self.received[start..].contains(mark) {
                let count = self.stream.read(&mut buffer).await.expect("an open stream");
                assert!(count > 0, "closed: {}", self.received);
                self.received.push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
        };
        let came = tokio::time::timeout(Duration::from_secs(10), reading).await;
        assert!(came.is_ok(), "{mark} has not come: {}", self.received);
        self.received[start..].to_owned()
    }
}
