//! The one place that names concrete connectors.

use std::collections::BTreeMap;
use std::sync::Arc;

use wayleave_connector_api::Connector;
#[cfg(not(feature = "odbc"))]
use wayleave_connector_api::ConnectorError;
use wayleave_connector_files::{CsvHeader, FilesConnector, FilesOptions};
use wayleave_connector_mysql::{MysqlConnector, MysqlOptions};
#[cfg(feature = "odbc")]
use wayleave_connector_odbc::{OdbcConnector, OdbcOptions};
use wayleave_connector_postgres::{PostgresConnector, PostgresOptions};
use wayleave_connector_sqlite::{SqliteConnector, SqliteOptions};
use wayleave_connector_sqlserver::{Login, SqlServerConnector, SqlServerOptions};

use crate::catalog::{Agencies, Agency, SubjectColumn};
use crate::config::{AgencyConfig, Config, ConnectorConfig, Tls, TokenConfig};
use crate::error::Error;

/// Makes every configured agency's connector. Nothing is reached: a dead agency does not keep the others from starting.
///
/// # Errors
/// [`Error::Source`] where a connector's settings cannot be used.
pub fn agencies(config: &Config) -> Result<Agencies, Error> {
    let agencies = config.agencies.values().map(|agency| open(agency, config)).collect::<Result<Vec<_>, _>>()?;
    Ok(Agencies::new(agencies))
}

fn open(agency: &AgencyConfig, config: &Config) -> Result<Agency, Error> {
    let connector: Arc<dyn Connector> = match &agency.connector {
        ConnectorConfig::Postgres(postgres) => {
            let options = PostgresOptions {
                url: postgres.url.expose().to_owned(),
                tls: match postgres.tls {
                    Tls::Require => wayleave_connector_postgres::TlsMode::Require,
                    Tls::Disable => wayleave_connector_postgres::TlsMode::Disable,
                },
                ca_file: postgres.ca_file.clone(),
                max_connections: agency.max_connections,
                connect_timeout_ms: config.limits.connect_timeout_ms,
                statement_timeout_ms: agency.statement_timeout_ms,
                scan_connections: PostgresOptions::default_scan_connections(),
                divide_from_bytes: PostgresOptions::DIVIDE_FROM_BYTES,
            };
            let connector = PostgresConnector::new(options)
                .map_err(|error| Error::Source { agency: agency.name.clone(), source: Arc::new(error) })?;
            Arc::new(connector)
        }
        ConnectorConfig::Mysql(mysql) => {
            let options = MysqlOptions {
                url: mysql.url.expose().to_owned(),
                tls: match mysql.tls {
                    Tls::Require => wayleave_connector_mysql::TlsMode::Require,
                    Tls::Disable => wayleave_connector_mysql::TlsMode::Disable,
                },
                ca_file: mysql.ca_file.clone(),
                max_connections: agency.max_connections,
                connect_timeout_ms: config.limits.connect_timeout_ms,
                statement_timeout_ms: agency.statement_timeout_ms,
            };
            let connector = MysqlConnector::new(options)
                .map_err(|error| Error::Source { agency: agency.name.clone(), source: Arc::new(error) })?;
            Arc::new(connector)
        }
        ConnectorConfig::SqlServer { server, token } => {
            let options = SqlServerOptions {
                url: server.url.expose().to_owned(),
                login: match token {
                    None => Login::Password,
                    Some(TokenConfig::File(path)) => Login::AccessTokenFile(path.clone()),
                    Some(TokenConfig::Token(token)) => Login::AccessToken(token.expose().to_owned()),
                },
                tls: match server.tls {
                    Tls::Require => wayleave_connector_sqlserver::TlsMode::Require,
                    Tls::Disable => wayleave_connector_sqlserver::TlsMode::Disable,
                },
                ca_file: server.ca_file.clone(),
                max_connections: agency.max_connections,
                connect_timeout_ms: config.limits.connect_timeout_ms,
                statement_timeout_ms: agency.statement_timeout_ms,
            };
            let connector = SqlServerConnector::new(options)
                .map_err(|error| Error::Source { agency: agency.name.clone(), source: Arc::new(error) })?;
            Arc::new(connector)
        }
        ConnectorConfig::Sqlite { path } => Arc::new(SqliteConnector::new(SqliteOptions {
            path: path.clone(),
            max_connections: agency.max_connections,
            statement_timeout_ms: agency.statement_timeout_ms,
        })),
        ConnectorConfig::Files(files) => Arc::new(FilesConnector::new(FilesOptions {
            path: files.path.clone(),
            csv_delimiter: files.csv_delimiter,
            csv_header: if files.csv_header { CsvHeader::Present } else { CsvHeader::Absent },
            max_connections: agency.max_connections,
            statement_timeout_ms: agency.statement_timeout_ms,
            memory_bytes: FilesOptions::DEFAULT_MEMORY_BYTES,
        })),
        #[cfg(feature = "odbc")]
        ConnectorConfig::Odbc { connection_string } => Arc::new(OdbcConnector::new(OdbcOptions {
            connection_string: connection_string.expose().to_owned(),
            max_connections: agency.max_connections,
            connect_timeout_ms: config.limits.connect_timeout_ms,
            statement_timeout_ms: agency.statement_timeout_ms,
        })),
        #[cfg(not(feature = "odbc"))]
        ConnectorConfig::Odbc { .. } => {
            let reason = "this program was built without ODBC (`cargo build --release --features odbc`)".to_owned();
            let source = Arc::new(ConnectorError::Configuration { reason });
            return Err(Error::Source { agency: agency.name.clone(), source });
        }
    };
    let subjects: BTreeMap<_, _> = agency
        .tables
        .iter()
        .filter_map(|(table, settings)| {
            let subject = settings.subject.as_ref()?;
            Some((table.clone(), SubjectColumn { column: subject.column.clone(), format: subject.format }))
        })
        .collect();
    Ok(Agency::new(&agency.name, agency.title.clone(), connector, subjects))
}
