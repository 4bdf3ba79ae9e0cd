//! A proxy between a client and its server: it keeps what passes, cuts, and says things in the server's name.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::sync::watch;

/// What passes, and what shall happen.
#[derive(Debug, Default)]
struct Shared {
    to_server: Vec<u8>,
    to_client: Vec<u8>,
    /// To the client of the connection that is open.
    inject: Option<mpsc::UnboundedSender<Vec<u8>>>,
    connections: usize,
    closed: bool,
}

/// A proxy for one client.
#[derive(Debug)]
pub struct Proxy {
    address: String,
    shared: Arc<Mutex<Shared>>,
    cut: watch::Sender<u64>,
}

impl Proxy {
    /// Listens, and connects to `server` for each connection.
    ///
    /// # Panics
    /// If it cannot listen.
    pub async fn start(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let shared = Arc::new(Mutex::new(Shared::default()));
        let (cut, cuts) = watch::channel(0_u64);
        let of_task = shared.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (inject, injected) = mpsc::unbounded_channel();
                {
                    let mut shared = of_task.lock().expect("the lock");
                    if shared.closed {
                        continue;
                    }
                    shared.connections += 1;
                    shared.inject = Some(inject);
                }
                let Ok(upstream) = TcpStream::connect(&server).await else { continue };
                let mut cuts = cuts.clone();
                cuts.mark_unchanged();
                tokio::spawn(carry(client, upstream, of_task.clone(), injected, cuts));
            }
        });
        Self { address, shared, cut }
    }

    /// Where the client connects.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Breaks the connection that is open.
    pub fn cut(&self) {
        self.cut.send_modify(|count| *count += 1);
    }

    /// Lets no new connection through, or does again.
    ///
    /// # Panics
    /// If a task has panicked.
    pub fn close(&self, closed: bool) {
        self.shared.lock().expect("the lock").closed = closed;
        if closed {
            self.cut();
        }
    }

    /// Says something to the client in the server's name.
    ///
    /// # Panics
    /// If there is no connection.
    pub fn inject(&self, bytes: impl Into<Vec<u8>>) {
        let shared = self.shared.lock().expect("the lock");
        shared.inject.as_ref().expect("a connection").send(bytes.into()).expect("an open one");
    }

    /// How many connections there were.
    ///
    /// # Panics
    /// If a task has panicked.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.lock().expect("the lock").connections
    }

    /// All that went to the server so far, and to the client.
    ///
    /// # Panics
    /// If a task has panicked.
    #[must_use]
    pub fn passed(&self) -> (String, String) {
        let shared = self.shared.lock().expect("the lock");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&shared.to_server), text(&shared.to_client))
    }
}

async fn carry(
    client: TcpStream,
    server: TcpStream,
    shared: Arc<Mutex<Shared>>,
    mut injected: mpsc::UnboundedReceiver<Vec<u8>>,
    mut cuts: watch::Receiver<u64>,
) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (mut up, mut down) = ([0; 16_384], [0; 16_384]);
    loop {
        tokio::select! {
            read = from_client.read(&mut up) => {
                let Ok(count @ 1..) = read else { return };
                shared.lock().expect("the lock").to_server.extend_from_slice(&up[..count]);
                if to_server.write_all(&up[..count]).await.is_err() { return }
            }
            read = from_server.read(&mut down) => {
                let Ok(count @ 1..) = read else { return };
                shared.lock().expect("the lock").to_client.extend_from_slice(&down[..count]);
                if to_client.write_all(&down[..count]).await.is_err() { return }
            }
            Some(bytes) = injected.recv() => {
                if to_client.write_all(&bytes).await.is_err() { return }
            }
            _ = cuts.changed() => return,
        }
    }
}
