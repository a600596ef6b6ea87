//! Where the URL of a SQL Server database leads, read only to decide whether plain text may go there.
//!
//! It must judge as the connector does, which takes one `@` and no more, or a remote server could pass for a local one.

use super::postgres_url::{Reach, UrlFault};

pub(super) fn reach(url: &str) -> Result<Reach, UrlFault> {
    let rest =
        ["sqlserver://", "mssql://"].iter().find_map(|scheme| url.strip_prefix(scheme)).ok_or(UrlFault::Scheme)?;
    let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
    if query.is_some_and(|query| !query.starts_with("instance=") || query.contains('&')) {
        return Err(UrlFault::Parameter);
    }
    let (authority, _database) = rest.split_once('/').ok_or(UrlFault::Host)?;
    let place = authority.split_once('@').map_or(authority, |(_, place)| place);
    let host = match place.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']').map(|(host, _)| host).ok_or(UrlFault::Host)?,
        None => place.split_once(':').map_or(place, |(host, _)| host),
    };
    if host.is_empty() || place.contains('@') {
        return Err(UrlFault::Host);
    }
    let is_this_machine = host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    Ok(if is_this_machine { Reach::ThisMachine } else { Reach::Network })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_loopback_address_is_this_machine() {
        for url in [
            "sqlserver://localhost/d",
            "mssql://u:p@127.0.0.1:1434/d",
            "sqlserver://u@[::1]/d",
            "sqlserver://u@LOCALHOST/d?instance=SQLEXPRESS",
        ] {
            assert_eq!(reach(url), Ok(Reach::ThisMachine), "{url}");
        }
        for url in [
            "sqlserver://db.example/d",
            "sqlserver://u:p@10.0.0.1/d",
            "sqlserver://localhost:p@db.example/d",
            "sqlserver://localhost.example/d",
        ] {
            assert_eq!(reach(url), Ok(Reach::Network), "{url}");
        }
    }

    #[test]
    fn what_is_no_such_url_is_refused() {
        assert_eq!(reach("mysql://localhost/d"), Err(UrlFault::Scheme));
        assert_eq!(reach("sqlserver:///d"), Err(UrlFault::Host));
        assert_eq!(reach("sqlserver://u:p@localhost@db.example/d"), Err(UrlFault::Host));
        assert_eq!(reach("sqlserver://localhost/d?encrypt=false"), Err(UrlFault::Parameter));
    }
}
