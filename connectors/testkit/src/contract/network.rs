//! What a network does to a connector: wrong logins, certificates, servers that are not there and connections that break.

use std::time::Duration;

use futures::StreamExt;
use tokio::net::TcpListener;
use wayleave_connector_api::ConnectorError;

use super::behaviour::{count_numbers, endless, numbers, start};
use super::fixture::{Fixture, Network, Settings, Trust, excuses};
use super::world::described;
use crate::proxy::Proxy;

/// The fixture's network, or `None` where it says that it has none.
fn of<'a>(fixture: &'a dyn Fixture, behaviour: &str) -> Option<&'a dyn Network> {
    let excused = !excuses(fixture, behaviour).is_empty();
    match fixture.network() {
        Some(network) if !excused => Some(network),
        Some(_) => panic!("`{behaviour}` is excused, though there is a network"),
        None => {
            assert!(excused, "there is no network, and `{behaviour}` is not excused");
            None
        }
    }
}

/// Every behaviour here, by the name under which a fixture says that it has none.
pub(super) const NAMES: [&str; 4] = ["lost connection", "unreachable server", "wrong login", "encryption"];

pub async fn a_connection_lost_in_the_middle_of_a_result_is_an_error(fixture: &dyn Fixture) {
    let Some(network) = of(fixture, "lost connection") else { return };
    let database = fixture.database("lost", &[numbers()]).await;
    let proxy = Proxy::start(network.address().await).await.unwrap();
    // The name under which the fixture knows it.
    let connector = network.over("lost", proxy.address(), Settings::default()).await;
    let table = described(&*connector, &*database, "numbers").await;
    for after_bytes in [0, 1, 1_000, 100_000] {
        let mut stream = start(&*connector, endless(&table)).await;
        stream.next().await.unwrap().unwrap();
        proxy.cut_after(after_bytes);
        let error = loop {
            match tokio::time::timeout(Duration::from_secs(60), stream.next()).await.expect("the cut goes unnoticed") {
                Some(Ok(_)) => {}
                Some(Err(error)) => break error,
                None => panic!("a result that was cut ended as if it were whole"),
            }
        };
        assert!(matches!(error, ConnectorError::Lost { .. }), "{error:?}");
        proxy.restore();
        // Idle connections have died as well, and the next question does not notice.
        count_numbers(&*connector, &table).await;
    }
}

pub async fn a_server_that_is_not_there_is_unavailable(fixture: &dyn Fixture) {
    let Some(network) = of(fixture, "unreachable server") else { return };
    let _database = fixture.database("unreachable", &[]).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let settings = Settings { budget_wait_ms: 500, ..Settings::default() };
    // It takes connections and never says a word.
    let silent = network.over("unreachable", address, settings).await;
    let error = silent.ping().await.unwrap_err();
    assert!(matches!(error, ConnectorError::Unavailable { .. }), "{error:?}");
    drop(listener);
    let error = silent.ping().await.unwrap_err();
    assert!(matches!(error, ConnectorError::Unavailable { .. }), "{error:?}");
}

pub async fn a_wrong_login_is_refused_as_one(fixture: &dyn Fixture) {
    let Some(network) = of(fixture, "wrong login") else { return };
    let connectors = network.wrong_logins().await;
    assert!(!connectors.is_empty());
    for connector in connectors {
        let error = connector.ping().await.unwrap_err();
        assert!(matches!(error, ConnectorError::Authentication { .. }), "{error:?}");
    }
}

pub async fn encryption_is_verified_or_refused(fixture: &dyn Fixture) {
    let Some(network) = of(fixture, "encryption") else { return };
    assert!(network.encrypted(Trust::Right).await.ping().await.unwrap().encrypted);
    for trust in [Trust::OtherAuthority, Trust::OtherHost, Trust::Plain] {
        let error = network.encrypted(trust).await.ping().await.unwrap_err();
        assert!(matches!(error, ConnectorError::Tls { .. }), "{trust:?}: {error:?}");
    }
}
