//! The driver that is used: `tiberius`.
//!
//! Its own way of cancelling is never called: where the acknowledgement comes late, later statements would be answered with
//! earlier rows. A statement is cancelled by closing the connection, which the server notices at once.

use std::io;
use std::net::TcpStream as StdTcpStream;

use async_trait::async_trait;
use futures::TryStreamExt;
use tiberius::error::{Error as TdsError, TokenError};
use tiberius::{AuthMethod, Client, ColumnData, Config, EncryptionLevel, QueryItem, SqlBrowser};
use tokio::net::TcpStream;
use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt};
use wayleave_connector_api::ConnectorError;

use super::{Cell, Driver, Filled, Receiver, Session};
use crate::options::Address;
use crate::{Login, SqlServerOptions, TlsMode};

/// How often a server may send us on to another: once to a replica that is read only, and once more through a gateway.
const MOST_REDIRECTIONS: usize = 3;

/// Between what SQL Server counts days from and the year 1.
const DAYS_TO_1900: i64 = 693_595;

pub(crate) struct TdsDriver {
    options: SqlServerOptions,
    address: Address,
}

impl TdsDriver {
    /// # Errors
    /// [`ConnectorError::Configuration`] where the settings cannot be used.
    pub(crate) fn new(options: SqlServerOptions) -> Result<Self, ConnectorError> {
        let address = options.address()?;
        if let Some(path) = options.ca_file.as_ref().filter(|_| options.tls == TlsMode::Require) {
            check_certificates(path)?;
        }
        Ok(Self { options, address })
    }

    fn config(&self, host: &str, port: Option<u16>) -> Result<Config, ConnectorError> {
        let mut config = Config::new();
        config.host(host);
        match (port, &self.address.instance) {
            (Some(port), _) => config.port(port),
            (None, Some(instance)) => config.instance_name(instance),
            (None, None) => {}
        }
        config.database(&self.address.database);
        config.application_name("wayleave");
        // A cluster sends us to a replica that nobody writes to, where it has one.
        config.readonly(true);
        // Both are ours: the whole of connecting, and the whole of a statement.
        config.handshake_timeout(None);
        config.command_timeout(None);
        match self.options.tls {
            TlsMode::Disable => config.encryption(EncryptionLevel::NotSupported),
            TlsMode::Require => {
                config.encryption(EncryptionLevel::Required);
                if let Some(bytes) = self.options.ca_file.as_ref().map(std::fs::read).transpose().map_err(unreadable)? {
                    config.trust_cert_ca_bundle(bytes);
                }
            }
        }
        config.authentication(match &self.options.login {
            Login::Password => AuthMethod::sql_server(
                self.address.user.as_deref().unwrap_or_default(),
                self.address.password.as_deref().unwrap_or_default(),
            ),
            Login::AccessToken(token) => AuthMethod::aad_token(token.trim()),
            Login::AccessTokenFile(path) => {
                let token = std::fs::read_to_string(path).map_err(|error| ConnectorError::Configuration {
                    reason: format!("the token file `{}` cannot be read: {}", path.display(), error.kind()),
                })?;
                AuthMethod::aad_token(token.trim())
            }
        });
        Ok(config)
    }
}

/// Looked at when the connector is made, so that a wrong file is known before the first query.
fn check_certificates(path: &std::path::Path) -> Result<(), ConnectorError> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let wrong = |what: String| ConnectorError::Configuration {
        reason: format!("the certificate file `{}` {what}", path.display()),
    };
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in certificates {
        let certificate = certificate.map_err(|error| wrong(format!("is not PEM: {error}")))?;
        roots
            .add(certificate)
            .map_err(|error| wrong(format!("holds a certificate that cannot be trusted: {error}")))?;
    }
    if roots.is_empty() { Err(wrong("holds no certificate".to_owned())) } else { Ok(()) }
}

fn unreadable(error: io::Error) -> ConnectorError {
    ConnectorError::Configuration { reason: format!("the certificate file cannot be read: {}", error.kind()) }
}

#[async_trait]
impl Driver for TdsDriver {
    async fn connect(&self) -> Result<Box<dyn Session>, ConnectorError> {
        let (mut host, mut port) = (self.address.host.clone(), self.address.port);
        for _ in 0..MOST_REDIRECTIONS {
            let config = self.config(&host, port)?;
            let stream = TcpStream::connect_named(&config).await.map_err(|error| connect_error(&error))?;
            let (stream, probe) = probed(stream).map_err(|error| unavailable(&error))?;
            match Client::connect(config, stream.compat_write()).await {
                Ok(client) => return Ok(Box::new(TdsSession { client, probe })),
                Err(TdsError::Routing { host: next, port: next_port }) => {
                    (host, port) = (next, Some(next_port));
                }
                Err(error) => return Err(connect_error(&error)),
            }
        }
        Err(ConnectorError::Unavailable {
            operator_detail: "the server sends us from one address to another".to_owned(),
        })
    }
}

/// The connection, and a second hold on its socket by which to look whether anything waits there.
fn probed(stream: TcpStream) -> io::Result<(TcpStream, StdTcpStream)> {
    stream.set_nodelay(true)?;
    let stream = stream.into_std()?;
    let probe = stream.try_clone()?;
    Ok((TcpStream::from_std(stream)?, probe))
}

struct TdsSession {
    client: Client<Compat<TcpStream>>,
    probe: StdTcpStream,
}

#[async_trait]
impl Session for TdsSession {
    async fn run(&mut self, batch: &str, receiver: &mut dyn Receiver) -> Result<(), ConnectorError> {
        let mut items = self.client.simple_query(batch).await.map_err(|error| statement_error(&error))?;
        while let Some(item) = items.try_next().await.map_err(|error| statement_error(&error))? {
            match item {
                QueryItem::Metadata(metadata) => receiver.begin(metadata.columns().len())?,
                QueryItem::Row(row) => {
                    for (position, data) in row.into_iter().enumerate() {
                        receiver.cell(position, cell(&data))?;
                    }
                    if receiver.end_row()? == Filled::Yes {
                        receiver.hand_over().await?;
                    }
                }
            }
        }
        Ok(())
    }

    fn is_idle(&self) -> bool {
        // The socket does not block: nothing there yet is the only good answer. An end, or bytes that nobody asked for,
        // such as an acknowledgement that comes late, are the end of this connection.
        matches!(self.probe.peek(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl Drop for TdsSession {
    fn drop(&mut self) {
        // Both holds on the socket end with this, and the server need not wait for the second.
        let _closed = self.probe.shutdown(std::net::Shutdown::Both);
    }
}

fn cell<'a>(data: &'a ColumnData<'static>) -> Cell<'a> {
    fn of<T>(value: Option<T>, cell: impl FnOnce(T) -> Cell<'static>) -> Cell<'static> {
        value.map_or(Cell::Null, cell)
    }
    match data {
        ColumnData::U8(value) => of(*value, |value| Cell::Integer(i64::from(value))),
        ColumnData::I16(value) => of(*value, |value| Cell::Integer(i64::from(value))),
        ColumnData::I32(value) => of(*value, |value| Cell::Integer(i64::from(value))),
        ColumnData::I64(value) => of(*value, Cell::Integer),
        ColumnData::F32(value) => of(*value, Cell::Float32),
        ColumnData::F64(value) => of(*value, Cell::Float64),
        ColumnData::Bit(value) => of(*value, Cell::Bit),
        ColumnData::Numeric(value) => {
            of(*value, |value| Cell::Decimal { unscaled: value.value(), scale: value.scale() })
        }
        ColumnData::String(value) => value.as_deref().map_or(Cell::Null, Cell::Text),
        ColumnData::Binary(value) => value.as_deref().map_or(Cell::Null, Cell::Binary),
        ColumnData::Date(value) => of(*value, |value| Cell::Date(value.days())),
        ColumnData::Time(value) => of(*value, |value| ticks(value).map_or(Cell::Other, Cell::Time)),
        ColumnData::DateTime2(value) => of(*value, moment),
        // The server sends the moment by the clock of UTC, and the offset beside it.
        ColumnData::DateTimeOffset(value) => of(*value, |value| moment(value.datetime2())),
        ColumnData::SmallDateTime(value) => of(*value, |value| {
            let days = u32::try_from(DAYS_TO_1900 + i64::from(value.days())).unwrap_or(u32::MAX);
            Cell::Moment { days, ticks: u64::from(value.seconds_fragments()) * 60 * 10_000_000 }
        }),
        // Neither is ever asked for as it is: both would lose digits, see `types::reading_cast`.
        ColumnData::DateTime(value) => of(*value, |_| Cell::Other),
        ColumnData::Guid(value) => of(*value, |_| Cell::Other),
        ColumnData::Xml(value) => value.as_deref().map_or(Cell::Null, |_| Cell::Other),
    }
}

fn moment(value: tiberius::time::DateTime2) -> Cell<'static> {
    match ticks(value.time()) {
        Some(ticks) => Cell::Moment { days: value.date().days(), ticks },
        None => Cell::Other,
    }
}

/// In hundreds of nanoseconds, whatever the type's own unit.
fn ticks(time: tiberius::time::Time) -> Option<u64> {
    let factor = 10_u64.checked_pow(u32::from(7_u8.checked_sub(time.scale())?))?;
    time.increments().checked_mul(factor)
}

fn unavailable(error: &io::Error) -> ConnectorError {
    ConnectorError::Unavailable { operator_detail: error.to_string() }
}

/// What kept us from a session.
fn connect_error(error: &TdsError) -> ConnectorError {
    match error {
        TdsError::Server(refusal) => {
            let operator_detail = refusal_text(refusal);
            match refusal.code() {
                18_400..=18_499 | 15_113 | 33_134 | 33_147 => ConnectorError::Authentication { operator_detail },
                // Too many connections, out of memory, starting or stopping; and Azure's words for the same.
                17_142
                | 17_187..=17_199
                | 17_809
                | 17_810
                | 701
                | 40_197
                | 40_501
                | 40_613
                | 10_928
                | 10_929
                | 49_918..=49_920 => ConnectorError::Unavailable { operator_detail },
                _ => ConnectorError::Refused { sqlstate: sqlstate(refusal).to_owned(), operator_detail },
            }
        }
        TdsError::Tls(reason) => ConnectorError::Tls { operator_detail: first_sentence(reason) },
        // The handshake's own failures come as errors of input and output, in the words of the TLS library.
        TdsError::Io { kind: io::ErrorKind::InvalidData, message } => {
            ConnectorError::Tls { operator_detail: first_sentence(message) }
        }
        TdsError::Protocol(reason) if reason.contains("encryption level") => {
            ConnectorError::Tls { operator_detail: "the server offers no encryption".to_owned() }
        }
        TdsError::Io { message, .. } => ConnectorError::Unavailable { operator_detail: message.clone() },
        other => ConnectorError::Unavailable { operator_detail: other.to_string() },
    }
}

/// Its advice is for who writes programs.
fn first_sentence(text: &str) -> String {
    text.split(". To connect anyway")
        .next()
        .unwrap_or_default()
        .split(" To connect anyway")
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// What ended a statement. A statement's own limit is not known here, so a lock that was waited for is refused.
fn statement_error(error: &TdsError) -> ConnectorError {
    match error {
        TdsError::Server(refusal) => match refusal.code() {
            // The server is stopping, or somebody ended the session.
            596 | 6_001..=6_006 | 10_054 | 17_147 | 40_197 | 40_613 => {
                ConnectorError::Lost { operator_detail: refusal_text(refusal) }
            }
            _ => ConnectorError::Refused {
                sqlstate: sqlstate(refusal).to_owned(),
                operator_detail: refusal_text(refusal),
            },
        },
        TdsError::Io { message, .. } => ConnectorError::Lost { operator_detail: message.clone() },
        TdsError::Encoding(_) | TdsError::Utf8 | TdsError::Utf16 | TdsError::Conversion(_) => {
            ConnectorError::Protocol { reason: "a text is not in the encoding that it says".to_owned() }
        }
        _ => ConnectorError::Protocol { reason: "a message that does not belong there".to_owned() },
    }
}

/// The standard's code for what SQL Server numbers.
fn sqlstate(refusal: &TokenError) -> &'static str {
    match refusal.code() {
        102 | 105 | 156 | 170 | 319 | 1_033 => "42601",
        207 => "42703",
        208 => "42P01",
        229 | 230 | 262 | 297 | 300 => "42501",
        195 | 4_121 => "42883",
        220 | 232 | 8_115 => "22003",
        8_134 => "22012",
        241 | 242 | 245 | 295 | 8_114 => "22018",
        1_205 | 3_960 | 3_961 => "40001",
        LOCK_TIMEOUT => "55P03",
        701 | 8_623 | 8_631 | 8_632 | 8_645 | 8_651 => "53000",
        4_060 => "3D000",
        _ => "HY000",
    }
}

/// A lock that was not given within the statement's own time.
pub(crate) const LOCK_TIMEOUT: u32 = 1_222;

/// The server's number, and its words where they quote no value of a row.
fn refusal_text(refusal: &TokenError) -> String {
    let head = format!("message {}, level {}, state {}", refusal.code(), refusal.class(), refusal.state());
    match sqlstate(refusal) {
        "42601" | "42703" | "42P01" | "42501" | "42883" | "40001" | "55P03" | "53000" | "3D000" => {
            format!("{head}: {}", refusal.message())
        }
        _ if (18_400..=18_499).contains(&refusal.code()) => format!("{head}: {}", refusal.message()),
        _ => head,
    }
}
