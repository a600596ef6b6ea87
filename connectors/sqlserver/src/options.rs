//! How one agency's server is reached, and how much of it may be used.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use wayleave_connector_api::{ConnectorError, SourceIdentity};

/// Whether the connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// Never; for a server on the same machine or behind a tunnel.
    Disable,
    /// Always, with the server's certificate and host name verified.
    Require,
}

/// As whom the connector logs in.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    /// The user and password of the URL: a login of SQL Server's own.
    Password,
    /// A token of Microsoft Entra ID (Azure Active Directory), as it is.
    AccessToken(String),
    /// The same from a file, read for each new connection: such tokens live for an hour.
    AccessTokenFile(PathBuf),
}

impl fmt::Debug for Login {
    /// How, and never with what.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password => "Password",
            Self::AccessToken(_) => "AccessToken",
            Self::AccessTokenFile(_) => "AccessTokenFile",
        })
    }
}

/// What a connector needs to know of one server.
#[derive(Clone, PartialEq, Eq)]
pub struct SqlServerOptions {
    /// `sqlserver://user:password@host:port/database`, or `sqlserver://user:password@host/database?instance=NAME`
    pub url: String,
    pub login: Login,
    pub tls: TlsMode,
    /// PEM certificates to trust beside the system's own.
    pub ca_file: Option<PathBuf>,
    pub max_connections: usize,
    /// Also how long a query waits for a free connection.
    pub connect_timeout_ms: u64,
    /// 0 leaves statements without a limit.
    pub statement_timeout_ms: u64,
}

impl fmt::Debug for SqlServerOptions {
    /// The URL holds the password, so it is left out as a whole.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlServerOptions")
            .field("url", &"(hidden)")
            .field("login", &self.login)
            .field("tls", &self.tls)
            .field("ca_file", &self.ca_file)
            .field("max_connections", &self.max_connections)
            .field("connect_timeout_ms", &self.connect_timeout_ms)
            .field("statement_timeout_ms", &self.statement_timeout_ms)
            .finish()
    }
}

/// Where the URL leads, and with which credentials of its own.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    pub(crate) instance: Option<String>,
    pub(crate) database: String,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
}

impl SqlServerOptions {
    /// The server, the database and the login.
    pub(crate) fn identity(&self) -> Result<SourceIdentity, ConnectorError> {
        let address = self.address()?;
        let login = match &self.login {
            Login::Password => "password".to_owned(),
            Login::AccessToken(token) => format!("token {token}"),
            Login::AccessTokenFile(path) => format!("token of {}", path.display()),
        };
        Ok(SourceIdentity::new([
            "sqlserver".to_owned(),
            address.host,
            format!("{:?} {:?}", address.port, address.instance),
            address.database,
            format!("{:?} {:?}", address.user, address.password),
            login,
            format!("{:?} {:?}", self.tls, self.ca_file),
        ]))
    }

    /// The URL taken apart. The same reading decides in the configuration whether plain text may go there, so it is strict.
    ///
    /// # Errors
    /// [`ConnectorError::Configuration`], which never repeats a part of the URL.
    pub(crate) fn address(&self) -> Result<Address, ConnectorError> {
        let wrong = |reason: &str| ConnectorError::Configuration { reason: reason.to_owned() };
        if self.max_connections == 0 {
            return Err(wrong("`max_connections` is 0: no query could ever run"));
        }
        if self.connect_timeout_ms == 0 {
            return Err(wrong("`connect_timeout_ms` is 0: no connection could ever be made"));
        }
        let no_url = || wrong("the URL is not `sqlserver://user:password@host:port/database`");
        let rest = ["sqlserver://", "mssql://"]
            .iter()
            .find_map(|scheme| self.url.strip_prefix(scheme))
            .ok_or_else(|| wrong("the URL does not begin with `sqlserver://`"))?;
        let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
        let (authority, database) = rest.split_once('/').ok_or_else(|| wrong("the URL names no database"))?;
        let (credentials, place) = match authority.split_once('@') {
            Some((credentials, place)) => (Some(credentials), place),
            None => (None, authority),
        };
        if place.contains('@') || database.contains('/') {
            return Err(no_url());
        }
        let (host, port) = match place.strip_prefix('[') {
            Some(bracketed) => {
                let (host, after) = bracketed.split_once(']').ok_or_else(no_url)?;
                let port = if after.is_empty() { None } else { Some(after.strip_prefix(':').ok_or_else(no_url)?) };
                (host, port)
            }
            None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
        };
        if host.is_empty() {
            return Err(wrong("the URL names no host"));
        }
        if !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte)) {
            return Err(no_url());
        }
        let port = port.map(str::parse::<u16>).transpose().map_err(|_| no_url())?;
        let database =
            decoded(database).filter(|name| !name.is_empty()).ok_or_else(|| wrong("the URL names no database"))?;
        let instance = match query {
            None => None,
            Some(query) => Some(query.strip_prefix("instance=").and_then(decoded).ok_or_else(no_url)?),
        };
        let (user, password) = match credentials {
            None => (None, None),
            Some(credentials) => {
                let (user, password) =
                    credentials.split_once(':').map_or((credentials, None), |(user, password)| (user, Some(password)));
                let password = password.map(|password| decoded(password).ok_or_else(no_url)).transpose()?;
                (Some(decoded(user).ok_or_else(no_url)?), password)
            }
        };
        if self.login == Login::Password && user.as_ref().is_none_or(String::is_empty) {
            return Err(wrong("the URL names no user"));
        }
        if self.login != Login::Password && user.is_some() {
            return Err(wrong("the URL names a user, and a token logs in as another"));
        }
        Ok(Address { host: host.to_owned(), port, instance, database, user, password })
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }
}

/// With `%20` and its like as the bytes that they stand for.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let value = digit(rest.next()?)? * 16 + digit(rest.next()?)?;
        bytes.push(u8::try_from(value).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(url: &str) -> SqlServerOptions {
        SqlServerOptions {
            url: url.to_owned(),
            login: Login::Password,
            tls: TlsMode::Disable,
            ca_file: None,
            max_connections: 1,
            connect_timeout_ms: 1,
            statement_timeout_ms: 1,
        }
    }

    #[test]
    fn a_url_says_where_and_as_whom() {
        let address = options("sqlserver://reader:p%40ss%3Aw@db.example:14330/Social%20Care").address().unwrap();
        assert_eq!((address.host.as_str(), address.port), ("db.example", Some(14330)));
        assert_eq!((address.user.as_deref(), address.password.as_deref()), (Some("reader"), Some("p@ss:w")));
        assert_eq!((address.database.as_str(), address.instance), ("Social Care", None));
        let named = options("sqlserver://r:p@[::1]/d?instance=SQLEXPRESS").address().unwrap();
        assert_eq!((named.host.as_str(), named.port, named.instance.as_deref()), ("::1", None, Some("SQLEXPRESS")));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_without_its_secrets() {
        for url in [
            "postgres://u:secret@h/d",
            "sqlserver://u:secret@h",
            "sqlserver://u:secret@h/",
            "sqlserver://u:secret@/d",
            "sqlserver://h/d",
            "sqlserver://u:secret@h:port/d",
            "sqlserver://u:secret@localhost@h/d",
            "sqlserver://u:secret@h/d?encrypt=secret",
            "sqlserver://u:secret%4@h/d",
            "sqlserver://u:secret@h\\secret/d",
        ] {
            let error = options(url).address().map(|_| ()).unwrap_err();
            assert!(!format!("{error} {error:?} {:?}", options(url)).contains("secret"), "{error:?}");
        }
        let token = SqlServerOptions { login: Login::AccessToken("t".to_owned()), ..options("sqlserver://h/d") };
        assert!(token.address().is_ok());
        assert!(SqlServerOptions { url: "sqlserver://u@h/d".to_owned(), ..token }.address().is_err());
    }
}
