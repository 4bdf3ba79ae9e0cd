//! From nothing to a bound or resumed stream: TCP, TLS and SASL by tokio-xmpp; then XEP-0198 or binding.

use std::borrow::Cow;
use std::io;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use minidom::Element;
use sasl::common::Credentials;
use tokio_xmpp::connect::{
    AsyncReadAndWrite, DirectTlsServerConnector, DnsConfig, ServerConnector, StartTlsServerConnector,
    TcpServerConnector,
};
use tokio_xmpp::error::AuthError;
use tokio_xmpp::parsers::jid::Jid;
use tokio_xmpp::parsers::stream_features::StreamFeatures;
use tokio_xmpp::xmlstream::{ReadError, StreamHeader, Timeouts, XmlStream};

use crate::wire::{CLIENT, Incoming};
use crate::xml::{CSI, ROSTER, SM, bare, element, iq, with, with_text};

const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";

/// From the first packet to the bound stream. Servers that limit rates take their time.
const CONNECT_TIMEOUT: Duration = Duration::from_mins(1);

/// Stanzas that come before the session is ready: somebody may know the resource.
const MAX_EARLY: usize = 64;

/// How the server is reached.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Server {
    /// TLS from the first byte (XEP-0368).
    DirectTls(DnsConfig),
    /// Without TLS. Only for tests on the own machine.
    Plain(DnsConfig),
    /// STARTTLS (RFC 6120, section 5), which must succeed.
    StartTls(DnsConfig),
}

impl Server {
    /// By the SRV records of the domain, with STARTTLS.
    #[must_use]
    pub fn of(domain: &str) -> Self {
        Self::StartTls(DnsConfig::srv_default_client(domain))
    }
}

/// The stream of a session.
pub(crate) type Stream = XmlStream<Box<dyn AsyncReadAndWrite + Send>, Incoming>;

/// What it takes to log in.
#[derive(Clone)]
pub(crate) struct Login {
    pub(crate) account: String,
    pub(crate) resource: String,
    pub(crate) password: String,
    pub(crate) server: Server,
    pub(crate) timeouts: Timeouts,
}

/// A session to be taken up again.
#[derive(Clone)]
pub(crate) struct Resume {
    pub(crate) id: String,
    pub(crate) h: u32,
}

/// A stream that is ready for stanzas.
pub(crate) struct Connected {
    pub(crate) stream: Stream,
    pub(crate) offers: Offers,
    pub(crate) session: Session,
    /// What came before the session was ready.
    pub(crate) early: Vec<Incoming>,
}

/// What the stream's features say.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Offers {
    pub(crate) client_state: bool,
    pub(crate) roster_versions: bool,
}

pub(crate) enum Session {
    /// A new one.
    Bound {
        full_jid: String,
        /// Whether the server counts stanzas, and the name for resumption.
        counted: bool,
        id: Option<String>,
        /// What the server had handled of the one before.
        before: Option<u32>,
    },
    /// The one before goes on; the server has handled so much.
    Resumed { h: u32 },
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The server refused the user's name or password.
    #[error("the server refused the login")]
    Credentials,
    /// The network, TLS, or the server's conduct.
    #[error("{0}")]
    Other(Box<dyn std::error::Error + Send + Sync>),
}

impl ConnectError {
    fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Other(error.into())
    }
}

impl From<tokio_xmpp::Error> for ConnectError {
    fn from(error: tokio_xmpp::Error) -> Self {
        match error {
            tokio_xmpp::Error::Auth(AuthError::Fail(_)) => Self::Credentials,
            other => Self::other(other),
        }
    }
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        Self::other(error)
    }
}

/// Connects, logs in, and resumes the session or binds a new one.
pub(crate) async fn connect(login: Login, resume: Option<Resume>) -> Result<Connected, ConnectError> {
    let connecting = async {
        let (features, stream) = match &login.server {
            Server::DirectTls(dns) => log_in(DirectTlsServerConnector::from(dns.clone()), &login).await?,
            Server::Plain(dns) => log_in(TcpServerConnector::from(dns.clone()), &login).await?,
            Server::StartTls(dns) => log_in(StartTlsServerConnector::from(dns.clone()), &login).await?,
        };
        begin(stream, &features, &login, resume).await
    };
    tokio::time::timeout(CONNECT_TIMEOUT, connecting).await.map_err(ConnectError::other)?
}

async fn log_in<C: ServerConnector>(
    connector: C,
    login: &Login,
) -> Result<(StreamFeatures, Stream), ConnectError>
where
    C::Stream: Send + 'static,
{
    let jid: Jid = login.account.parse().map_err(ConnectError::other)?;
    let (header, binding) = connector.connect(&jid, CLIENT, login.timeouts).await?;
    let (features, stream) = header.recv_features().await.map_err(ConnectError::other)?;
    let user = jid.node().map(|node| node.as_str().to_owned()).unwrap_or_default();
    let credentials = Credentials::default()
        .with_username(user)
        .with_password(login.password.clone())
        .with_channel_binding(binding);
    let stream = tokio_xmpp::client_login(stream, features.sasl_mechanisms, credentials).await?;
    let header = StreamHeader { to: Some(Cow::Borrowed(jid.domain().as_str())), from: None, id: None };
    let features = stream.send_header(header).await?.recv_features::<Incoming>().await;
    let (features, stream) = features.map_err(ConnectError::other)?;
    Ok((features, stream.box_stream()))
}

async fn begin(
    mut stream: Stream,
    features: &StreamFeatures,
    login: &Login,
    resume: Option<Resume>,
) -> Result<Connected, ConnectError> {
    let other = |ns: &str, name: &str| features.others.iter().any(|feature| feature.is(name, ns));
    let offers = Offers {
        client_state: other(CSI, "csi"),
        roster_versions: other("urn:xmpp:features:rosterver", "ver"),
    };
    let managed = features.stream_management.is_some();
    let mut early = Vec::new();
    let mut before = None;
    if let (true, Some(Resume { id, h })) = (managed, resume) {
        stream.send(&element(SM, "resume", &[("previd", &id), ("h", &h.to_string())])).await?;
        let answer =
            expect(&mut stream, &mut early, |answer| answer.is("resumed", SM) || answer.is("failed", SM));
        let answer = answer.await?;
        let h = answer.attr("h").and_then(|h| h.parse().ok());
        if let ("resumed", Some(h)) = (answer.name(), h) {
            return Ok(Connected { stream, offers, session: Session::Resumed { h }, early });
        }
        before = h;
    }
    let resource = with_text(Element::bare("resource", BIND), &login.resource);
    let bind = with(Element::bare("bind", BIND), resource);
    stream.send(&iq("set", "bind", None, Some(bind))).await?;
    let answer = expect(&mut stream, &mut early, |answer| answer.attr("id") == Some("bind")).await?;
    let bound =
        answer.get_child("bind", BIND).and_then(|bind| bind.get_child("jid", BIND)).map(Element::text);
    let Some(full_jid) = bound.filter(|jid| bare(jid).eq_ignore_ascii_case(&login.account)) else {
        return Err(ConnectError::other("the server bound no resource"));
    };
    let (mut counted, mut id) = (false, None);
    if managed {
        stream.send(&element(SM, "enable", &[("resume", "true")])).await?;
        let answer =
            expect(&mut stream, &mut early, |answer| answer.is("enabled", SM) || answer.is("failed", SM));
        let answer = answer.await?;
        counted = answer.name() == "enabled";
        let resumable = matches!(answer.attr("resume"), Some("true" | "1"));
        id = answer.attr("id").filter(|_| resumable).map(str::to_owned);
    }
    Ok(Connected { stream, offers, session: Session::Bound { full_jid, counted, id, before }, early })
}

/// The first element that is `wanted`; what comes before it is kept.
async fn expect(
    stream: &mut Stream,
    early: &mut Vec<Incoming>,
    wanted: impl Fn(&Element) -> bool,
) -> Result<Element, ConnectError> {
    loop {
        match stream.next().await {
            Some(Ok(Incoming::Element(element))) if wanted(&element) => return Ok(element),
            Some(Ok(_)) if early.len() >= MAX_EARLY => {
                return Err(ConnectError::other("the server talks too much"));
            }
            Some(Ok(other)) => early.push(other),
            Some(Err(ReadError::SoftTimeout)) => {}
            Some(Err(ReadError::HardError(error))) => return Err(error.into()),
            Some(Err(ReadError::ParseError(error))) => return Err(ConnectError::other(error)),
            Some(Err(ReadError::StreamFooterReceived)) | None => {
                return Err(ConnectError::other("the server closed the stream"));
            }
        }
    }
}

/// The roster's query, which carries a version if the server knows them (RFC 6121, section 2.6).
pub(crate) fn roster_query(version: Option<&str>) -> Element {
    match version {
        Some(version) => element(ROSTER, "query", &[("ver", version)]),
        None => Element::bare("query", ROSTER),
    }
}
