//! How one agency's server is reached, and how much of it may be used.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::SslMode;
use wayleave_connector_api::{ConnectorError, SourceIdentity};

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
pub struct PostgresOptions {
    /// `postgres://user:password@host:port/database`
    pub url: String,
    pub tls: TlsMode,
    /// PEM certificates to trust in place of the system's own.
    pub ca_file: Option<PathBuf>,
    pub max_connections: usize,
    /// Also how long a query waits for a free connection.
    pub connect_timeout_ms: u64,
    /// 0 leaves statements without a limit.
    pub statement_timeout_ms: u64,
    /// Connections over which one large table is read at most, those of the budget that nobody else wants; 1 reads every
    /// table over one.
    pub scan_connections: usize,
    /// From which size on, TOAST included, a table is read in parts.
    pub divide_from_bytes: u64,
}

impl fmt::Debug for PostgresOptions {
    /// The URL holds the password, so it is left out as a whole.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("url", &"(hidden)")
            .field("tls", &self.tls)
            .field("ca_file", &self.ca_file)
            .field("max_connections", &self.max_connections)
            .field("connect_timeout_ms", &self.connect_timeout_ms)
            .field("statement_timeout_ms", &self.statement_timeout_ms)
            .field("scan_connections", &self.scan_connections)
            .field("divide_from_bytes", &self.divide_from_bytes)
            .finish()
    }
}

impl PostgresOptions {
    /// The server, the database and the login, in whatever way the URL writes them.
    pub(crate) fn identity(&self) -> Result<SourceIdentity, ConnectorError> {
        let config = self.driver_config()?;
        let user = config.get_user().unwrap_or_default();
        Ok(SourceIdentity::new([
            "postgres".to_owned(),
            format!("{:?}", config.get_hosts()),
            format!("{:?}", config.get_hostaddrs()),
            format!("{:?}", config.get_ports()),
            config.get_dbname().unwrap_or(user).to_owned(),
            user.to_owned(),
            format!("{:?}", config.get_password()),
            config.get_options().unwrap_or_default().to_owned(),
            format!("{:?} {:?}", self.tls, self.ca_file),
        ]))
    }

    /// Below this a table is read sooner than further connections are of use.
    pub const DIVIDE_FROM_BYTES: u64 = 64 << 20;

    /// As many as this machine can decode for, and no more than four: the agency's server has others to serve.
    pub fn default_scan_connections() -> usize {
        std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(4)
    }

    /// The driver's settings.
    ///
    /// # Errors
    /// [`ConnectorError::Configuration`], which never repeats a part of the URL.
    pub(crate) fn driver_config(&self) -> Result<Config, ConnectorError> {
        let wrong = |reason: &str| ConnectorError::Configuration { reason: reason.to_owned() };
        if self.max_connections == 0 {
            return Err(wrong("`max_connections` is 0: no query could ever run"));
        }
        if self.connect_timeout_ms == 0 {
            return Err(wrong("`connect_timeout_ms` is 0: no connection could ever be made"));
        }
        if !self.url.starts_with("postgres://") && !self.url.starts_with("postgresql://") {
            return Err(wrong("the URL does not begin with `postgres://`"));
        }
        // The parser's own error may quote what it could not read, a password among it.
        let mut config =
            Config::from_str(&self.url).map_err(|_| wrong("the URL is not `postgres://user@host:port/database`"))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(wrong("the URL names no host"));
        }
        if config.get_user().is_none_or(str::is_empty) {
            return Err(wrong("the URL names no user"));
        }
        match self.tls {
            TlsMode::Disable if config.get_ssl_mode() == SslMode::Require => {
                return Err(wrong("the URL asks for TLS, and the `tls` setting turns it off"));
            }
            TlsMode::Disable => config.ssl_mode(SslMode::Disable),
            TlsMode::Require => config.ssl_mode(SslMode::Require),
        };
        config.connect_timeout(self.connect_timeout());
        config.application_name("wayleave");
        config.keepalives_idle(Duration::from_secs(60));
        Ok(config)
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }
}
