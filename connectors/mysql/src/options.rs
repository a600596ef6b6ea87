//! How one agency's server is reached, and how much of it may be used.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use mysql_async::{Opts, OptsBuilder};
use wayleave_connector_api::{ConnectorError, SourceIdentity};

/// The longest statement that is sent; a server with a lower limit of its own refuses sooner.
const LONGEST_PACKET_BYTES: usize = 1 << 30;

/// Whether the connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// Never; for a server on the same machine or behind a tunnel.
    Disable,
    /// Always, with the server's certificate and host name verified.
    Require,
}

/// What a connector needs to know of one server.
#[derive(Clone, PartialEq, Eq)]
pub struct MysqlOptions {
    /// `mysql://user:password@host:port/database`, or `mariadb://…`; the database may be left out.
    pub url: String,
    pub tls: TlsMode,
    /// PEM certificates to trust in place of the system's own.
    pub ca_file: Option<PathBuf>,
    pub max_connections: usize,
    /// Also how long a query waits for a free connection.
    pub connect_timeout_ms: u64,
    /// 0 leaves statements without a limit.
    pub statement_timeout_ms: u64,
}

impl fmt::Debug for MysqlOptions {
    /// The URL holds the password, so it is left out as a whole.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MysqlOptions")
            .field("url", &"(hidden)")
            .field("tls", &self.tls)
            .field("ca_file", &self.ca_file)
            .field("max_connections", &self.max_connections)
            .field("connect_timeout_ms", &self.connect_timeout_ms)
            .field("statement_timeout_ms", &self.statement_timeout_ms)
            .finish()
    }
}

impl MysqlOptions {
    /// The server and the login, in whatever way the URL writes them. Every schema that the login may see is in reach
    /// whichever database the URL names.
    pub(crate) fn identity(&self) -> Result<SourceIdentity, ConnectorError> {
        let opts = Opts::from(self.driver_options()?);
        Ok(SourceIdentity::new([
            "mysql".to_owned(),
            opts.ip_or_hostname().to_owned(),
            opts.tcp_port().to_string(),
            format!("{:?} {:?}", opts.user(), opts.pass()),
            format!("{:?} {:?}", self.tls, self.ca_file),
        ]))
    }

    /// The driver's settings, those of encryption left out.
    ///
    /// # Errors
    /// [`ConnectorError::Configuration`], which never repeats a part of the URL.
    pub(crate) fn driver_options(&self) -> Result<OptsBuilder, ConnectorError> {
        let wrong = |reason: &str| ConnectorError::Configuration { reason: reason.to_owned() };
        if self.max_connections == 0 {
            return Err(wrong("`max_connections` is 0: no query could ever run"));
        }
        if self.connect_timeout_ms == 0 {
            return Err(wrong("`connect_timeout_ms` is 0: no connection could ever be made"));
        }
        let rest = ["mysql://", "mariadb://"].iter().find_map(|scheme| self.url.strip_prefix(scheme));
        let rest = rest.ok_or_else(|| wrong("the URL does not begin with `mysql://` or `mariadb://`"))?;
        // A parameter could turn the encryption off or have the session set up in another way.
        if rest.contains('?') {
            return Err(wrong("the URL has parameters, which this connector sets itself"));
        }
        // The parser's own error may quote what it could not read, a password among it.
        let parsed = Opts::from_url(&format!("mysql://{rest}"))
            .map_err(|_| wrong("the URL is not `mysql://user@host:port/database`"))?;
        if parsed.user().is_none_or(str::is_empty) {
            return Err(wrong("the URL names no user"));
        }
        let host = parsed.ip_or_hostname().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(wrong("the URL names no host"));
        }
        Ok(OptsBuilder::default()
            .ip_or_hostname(host)
            .tcp_port(parsed.tcp_port())
            .user(parsed.user())
            .pass(parsed.pass())
            .db_name(parsed.db_name())
            // The socket that a server names may be another server's on this machine.
            .prefer_socket(false)
            .stmt_cache_size(0)
            .max_allowed_packet(Some(LONGEST_PACKET_BYTES))
            .wait_timeout(Some(28_800))
            .tcp_keepalive(Some(Duration::from_secs(60))))
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }
}
