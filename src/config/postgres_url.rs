//! Where a PostgreSQL URL leads, read only to decide whether plain text may go there.
//!
//! In: the URL as the driver will read it. Out: its hosts. It must judge as the driver does (`tokio_postgres::Config`: user
//! and password end at the first `@`), or a remote server could pass for a local one.

/// Where the connection of a URL ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// A Unix socket or a loopback address, for every host that the URL names.
    ThisMachine,
    Network,
}

/// Why a text is not taken as the URL of a PostgreSQL database. It never holds any of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UrlFault {
    Scheme,
    Host,
    TlsParameter,
    /// Any parameter at all, where the connector sets all of them itself.
    Parameter,
}

pub(super) fn reach(url: &str) -> Result<Reach, UrlFault> {
    let rest =
        ["postgres://", "postgresql://"].iter().find_map(|scheme| url.strip_prefix(scheme)).ok_or(UrlFault::Scheme)?;
    let after_credentials = rest.split_once('@').map_or(rest, |(_, after)| after);
    let authority = after_credentials.split(['/', '?']).next().unwrap_or_default();
    let query = after_credentials.split_once('?').map_or("", |(_, query)| query);
    let parameters: Vec<(String, String)> =
        url::form_urlencoded::parse(query.as_bytes()).map(|(key, value)| (key.into(), value.into())).collect();
    if parameters.iter().any(|(key, _)| key.starts_with("ssl")) {
        return Err(UrlFault::TlsParameter);
    }
    let of_authority = authority.split(',').filter_map(|host| decoded(without_port(host)));
    let of_parameters = parameters
        .iter()
        .filter(|(key, _)| key == "host" || key == "hostaddr")
        .flat_map(|(_, hosts)| hosts.split(',').map(str::to_owned));
    let hosts: Vec<String> = of_authority.chain(of_parameters).filter(|host| !host.is_empty()).collect();
    if hosts.is_empty() {
        return Err(UrlFault::Host);
    }
    Ok(if hosts.iter().all(|host| is_this_machine(host)) { Reach::ThisMachine } else { Reach::Network })
}

fn without_port(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

fn decoded(host: &str) -> Option<String> {
    // A `+` is itself in a host and a blank only in a query.
    let pairs = host.replace('+', "%2B");
    url::form_urlencoded::parse(format!("h={pairs}").as_bytes()).next().map(|(_, value)| value.into_owned())
}

fn is_this_machine(host: &str) -> bool {
    host.starts_with('/')
        || host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_and_sockets_are_this_machine() {
        for url in [
            "postgres://localhost/d",
            "postgresql://u:p@127.0.0.1:5433/d",
            "postgres://u@[::1]:5432/d",
            "postgres://u@%2Fvar%2Frun%2Fpostgresql/d",
            "postgres:///d?host=/var/run/postgresql&port=5433",
            "postgres://u@localhost,127.0.0.2/d",
        ] {
            assert_eq!(reach(url), Ok(Reach::ThisMachine), "{url}");
        }
    }

    #[test]
    fn one_host_elsewhere_is_the_network() {
        for url in [
            "postgres://db.example/d",
            "postgres://u:p@10.0.0.1/d",
            "postgres://u@localhost,db.example/d",
            "postgres://u@localhost/d?host=db.example",
            "postgres://u@localhost/d?hostaddr=10.0.0.1",
            "postgres://localhost.example/d",
            "postgres://localhost:p@db.example/d",
            "postgres://u:p@localhost@db.example/d",
        ] {
            assert_eq!(reach(url), Ok(Reach::Network), "{url}");
        }
    }

    #[test]
    fn what_is_no_such_url_is_refused() {
        assert_eq!(reach("host=localhost user=u"), Err(UrlFault::Scheme));
        assert_eq!(reach("mysql://localhost/d"), Err(UrlFault::Scheme));
        assert_eq!(reach("postgres:///d"), Err(UrlFault::Host));
        assert_eq!(reach("postgres://localhost/d?sslmode=disable"), Err(UrlFault::TlsParameter));
    }
}
