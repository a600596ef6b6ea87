//! From an accepted socket to a user who has proven to be one.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::rand;
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use pgwire::messages::response::{GssEncResponse, ReadyForQuery, SslResponse, TransactionStatus};
use pgwire::messages::startup::{
    Authentication, BackendKeyData, NegotiateProtocolVersion, ParameterStatus, SecretKey, Startup,
};
use pgwire::messages::{PgWireBackendMessage as Message, PgWireFrontendMessage, SslNegotiationMetaMessage};
use tokio::net::TcpStream;
use tokio_util::codec::Framed;

use super::Shared;
use super::declared::{Declared, REPORTED, options};
use super::wire::{Codec, Fault, Patient, Phase, Socket};
use crate::audit::FailedLogin;
use crate::identity::{Exchange, Verifier};

const MECHANISM: &str = "SCRAM-SHA-256";

/// One who has logged in.
pub(super) struct Login {
    pub user: String,
    /// By which it was proven: another one later ends the connection.
    pub verifier: Verifier,
    /// With the start of the connection.
    pub declared: Declared,
}

/// What a new connection wants.
pub(super) enum Wish {
    Start(Socket, Startup),
    /// To end what another connection runs.
    Cancel {
        pid: i32,
        secret: i32,
    },
}

/// Agrees on encryption, and reads what the client wants; `None` where it went away or spoke another protocol.
pub(super) async fn open(stream: TcpStream, shared: &Shared) -> Result<Option<Wish>, Fault> {
    let mut socket = Framed::new(Patient::new(Box::new(stream)), Codec { phase: Phase::Encryption });
    let mut is_encrypted = false;
    // Clients ask for each kind of encryption once.
    for _ in 0..4 {
        let Some(message) = socket.next().await.transpose()? else { return Ok(None) };
        match message {
            PgWireFrontendMessage::SslNegotiation(SslNegotiationMetaMessage::PostgresSsl(_)) => {
                match shared.certificates.as_ref().filter(|_| !is_encrypted) {
                    Some(certificates) => {
                        socket.send(Message::SslResponse(SslResponse::Accept)).await?;
                        let parts = socket.into_parts();
                        // What came before encryption may be somebody else's (CVE-2021-23222).
                        if !parts.read_buf.is_empty() {
                            return Ok(None);
                        }
                        let encrypted = certificates.acceptor().accept(parts.io).await?;
                        socket = Framed::new(Patient::new(Box::new(encrypted)), Codec { phase: Phase::Encryption });
                        is_encrypted = true;
                    }
                    None => socket.send(Message::SslResponse(SslResponse::Refuse)).await?,
                }
            }
            PgWireFrontendMessage::SslNegotiation(SslNegotiationMetaMessage::PostgresGss(_)) => {
                socket.send(Message::GssEncResponse(GssEncResponse::Refuse)).await?;
            }
            PgWireFrontendMessage::SslNegotiation(_) => socket.codec_mut().phase = Phase::Startup,
            PgWireFrontendMessage::CancelRequest(cancel) => {
                let SecretKey::I32(secret) = cancel.secret_key else { return Ok(None) };
                return Ok(Some(Wish::Cancel { pid: cancel.pid, secret }));
            }
            PgWireFrontendMessage::Startup(startup) => {
                socket.codec_mut().phase = Phase::Login;
                if shared.certificates.is_some() && !is_encrypted {
                    let refusal = Fault::fatal("28000", "this server speaks over TLS only");
                    super::connection::tell(&mut socket, refusal.hint("connect with sslmode=require or better"))
                        .await?;
                    return Ok(None);
                }
                return Ok(Some(Wish::Start(socket, startup)));
            }
            _ => return Ok(None),
        }
    }
    Ok(None)
}

/// Lets somebody in, or says why not.
///
/// # Errors
/// The client is told, and the connection ends.
pub(super) async fn log_in(
    socket: &mut Socket,
    startup: Startup,
    peer: IpAddr,
    shared: &Shared,
) -> Result<Login, Fault> {
    if startup.protocol_number_major != 3 {
        let found = startup.protocol_number_major;
        return Err(Fault::fatal("0A000", format!("protocol {found} is not spoken here: it is 3.0")));
    }
    let extensions: Vec<String> = startup.parameters.keys().filter(|name| name.starts_with("_pq_.")).cloned().collect();
    if startup.protocol_number_minor > 0 || !extensions.is_empty() {
        socket.send(Message::NegotiateProtocolVersion(NegotiateProtocolVersion::new(0, extensions))).await?;
    }
    let Some(user) = startup.parameters.get("user").filter(|name| !name.is_empty()).cloned() else {
        return Err(Fault::fatal("28000", "the connection names no user"));
    };
    let verifier = prove(socket, &user, peer, shared).await?;
    let mut declared = Declared::default();
    let of_options = startup.parameters.get("options").map(|text| options(text)).unwrap_or_default();
    let own = startup.parameters.into_iter().filter(|(name, _)| !matches!(name.as_str(), "user" | "options"));
    for (name, value) in own.chain(of_options) {
        declared
            .set(&name.to_ascii_lowercase(), Some(&value))
            .map_err(|wrong| Fault::fatal("22023", wrong.message).hint(wrong.hint))?;
    }
    Ok(Login { user, verifier, declared })
}

async fn prove(socket: &mut Socket, user: &str, peer: IpAddr, shared: &Shared) -> Result<Verifier, Fault> {
    tokio::time::sleep(shared.failures.delay(peer)).await;
    let verifier = shared.users.verifier(user);
    socket.send(Message::Authentication(Authentication::SASL(vec![MECHANISM.to_owned()]))).await?;
    let proven = exchange(socket, verifier.clone()).await?;
    // Nobody's verifier fits no password; still nobody is let in who is not there.
    let known = shared.users.get(user).filter(|known| known.verifier == verifier);
    let (Ok(signature), Some(_)) = (proven, known) else {
        shared.failures.count(peer);
        let record = FailedLogin { user: user.to_owned(), address: peer.to_string(), endpoint: "pgwire".to_owned() };
        shared.engine.record_failed_login(record).await?;
        return Err(Fault::fatal("28P01", format!("the login of `{user}` has failed")));
    };
    shared.failures.forget(peer);
    socket.codec_mut().phase = Phase::Running;
    socket.feed(Message::Authentication(Authentication::SASLFinal(Bytes::from(signature)))).await?;
    socket.feed(Message::Authentication(Authentication::Ok)).await?;
    Ok(verifier)
}

/// The two steps of SCRAM; the inner error is a login that has failed.
async fn exchange(socket: &mut Socket, verifier: Verifier) -> Result<Result<String, ()>, Fault> {
    let unreadable = |_| Fault::fatal("08P01", "the login cannot be read");
    let Some(PgWireFrontendMessage::PasswordMessageFamily(first)) = socket.next().await.transpose()? else {
        return Err(Fault::Gone(io::ErrorKind::UnexpectedEof.into()));
    };
    let first = first.into_sasl_initial_response().map_err(unreadable)?;
    if first.auth_method != MECHANISM {
        return Err(Fault::fatal("28000", format!("logins are by {MECHANISM}")));
    }
    let (exchange, challenge) = match Exchange::begin(verifier, &first.data.unwrap_or_default()) {
        Ok(begun) => begun,
        Err(wrong) => return Err(Fault::fatal("08P01", wrong.to_string())),
    };
    socket.send(Message::Authentication(Authentication::SASLContinue(Bytes::from(challenge)))).await?;
    let Some(PgWireFrontendMessage::PasswordMessageFamily(last)) = socket.next().await.transpose()? else {
        return Err(Fault::Gone(io::ErrorKind::UnexpectedEof.into()));
    };
    let last = last.into_sasl_response().map_err(unreadable)?;
    Ok(exchange.finish(&last.data).map_err(|_| ()))
}

/// Tells the client what it has come to, and by which numbers it can cancel.
pub(super) async fn greet(socket: &mut Socket, pid: i32, secret: i32) -> Result<(), Fault> {
    for (name, value) in REPORTED {
        socket.feed(Message::ParameterStatus(ParameterStatus::new(name.to_owned(), value.to_owned()))).await?;
    }
    socket.feed(Message::BackendKeyData(BackendKeyData::new(pid, SecretKey::I32(secret)))).await?;
    socket.send(Message::ReadyForQuery(ReadyForQuery::new(TransactionStatus::Idle))).await
}

/// A number that nobody guesses; `None` where the machine gives no random bytes.
pub(super) fn secret() -> Option<i32> {
    let mut bytes = [0; 4];
    rand::fill(&mut bytes).ok()?;
    Some(i32::from_be_bytes(bytes))
}

/// Logins that have failed of late, by address: each makes the next wait longer.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<HashMap<IpAddr, (u32, Instant)>>);

impl Failures {
    const FIRST_DELAY: Duration = Duration::from_millis(200);
    const LONGEST_DELAY: Duration = Duration::from_secs(10);
    const FORGOTTEN_AFTER: Duration = Duration::from_secs(900);
    /// No more addresses are remembered: then all wait as the worst does.
    const MOST: usize = 10_000;

    fn delay(&self, peer: IpAddr) -> Duration {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, (_, at)| at.elapsed() < Self::FORGOTTEN_AFTER);
        match known.get(&peer) {
            Some((count, _)) => {
                (Self::FIRST_DELAY * 2_u32.saturating_pow(count.saturating_sub(1).min(10))).min(Self::LONGEST_DELAY)
            }
            None if known.len() >= Self::MOST => Self::LONGEST_DELAY,
            None => Duration::ZERO,
        }
    }

    fn count(&self, peer: IpAddr) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < Self::MOST || known.contains_key(&peer) {
            let (count, at) = known.entry(peer).or_insert((0, Instant::now()));
            *count = count.saturating_add(1);
            *at = Instant::now();
        }
    }

    fn forget(&self, peer: IpAddr) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_makes_the_next_login_wait_longer_and_a_success_ends_it() {
        let failures = Failures::default();
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        assert_eq!(failures.delay(one), Duration::ZERO);
        let mut before = Duration::ZERO;
        for _ in 0..6 {
            failures.count(one);
            assert!(failures.delay(one) > before);
            before = failures.delay(one);
        }
        (0..100).for_each(|_| failures.count(one));
        assert_eq!(failures.delay(one), Failures::LONGEST_DELAY);
        assert_eq!(failures.delay(other), Duration::ZERO);
        failures.forget(one);
        assert_eq!(failures.delay(one), Duration::ZERO);
    }
}
