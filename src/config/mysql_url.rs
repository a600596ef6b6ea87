//! Where the URL of a MariaDB or MySQL server leads, read only to decide whether plain text may go there.
//!
//! It is taken apart by the same parser as the driver's, or a remote server could pass for a local one.

use super::postgres_url::{Reach, UrlFault};

pub(super) fn reach(url: &str) -> Result<Reach, UrlFault> {
    let rest = ["mysql://", "mariadb://"].iter().find_map(|scheme| url.strip_prefix(scheme)).ok_or(UrlFault::Scheme)?;
    if rest.contains('?') {
        return Err(UrlFault::Parameter);
    }
    let parsed = url::Url::parse(&format!("mysql://{rest}")).map_err(|_| UrlFault::Host)?;
    let host = parsed.host_str().filter(|host| !host.is_empty()).ok_or(UrlFault::Host)?;
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let is_this_machine = address.eq_ignore_ascii_case("localhost")
        || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    Ok(if is_this_machine { Reach::ThisMachine } else { Reach::Network })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_loopback_address_is_this_machine() {
        for url in
            ["mysql://localhost/d", "mariadb://u:p@127.0.0.1:3307", "mysql://u@[::1]/d", "mysql://u:p%40x@LOCALHOST"]
        {
            assert_eq!(reach(url), Ok(Reach::ThisMachine), "{url}");
        }
        for url in [
            "mysql://db.example/d",
            "mysql://u:p@10.0.0.1/d",
            "mysql://localhost:p@db.example/d",
            "mariadb://u:p@localhost@db.example",
        ] {
            assert_eq!(reach(url), Ok(Reach::Network), "{url}");
        }
    }

    #[test]
    fn what_is_no_such_url_is_refused() {
        assert_eq!(reach("postgres://localhost/d"), Err(UrlFault::Scheme));
        assert_eq!(reach("mysql:///d"), Err(UrlFault::Host));
        assert_eq!(reach("mysql://localhost:port/d"), Err(UrlFault::Host));
        assert_eq!(reach("mysql://localhost/d?require_ssl=false"), Err(UrlFault::Parameter));
    }
}
