//! The server's part of SCRAM-SHA-256, over verifiers as PostgreSQL writes them.
//!
//! Source: RFC 5802 (messages and computations), RFC 7677 (SHA-256), PostgreSQL documentation, chapter "SASL Authentication"
//! (the user's name is that of the start-up message).

use std::fmt;
use std::num::NonZeroU32;

use aws_lc_rs::{constant_time, digest, hmac, pbkdf2, rand};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

const KEY_BYTES: usize = 32;
const SALT_BYTES: usize = 16;
const NONCE_BYTES: usize = 18;

/// As PostgreSQL's `scram_iterations`; RFC 7677 wants no fewer.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(4096).unwrap();

/// What is kept of a password. Whoever reads it can log in nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    iterations: NonZeroU32,
    salt: Vec<u8>,
    stored_key: [u8; KEY_BYTES],
    server_key: [u8; KEY_BYTES],
}

impl Verifier {
    /// A new verifier of a password, with a salt of its own; `None` where the machine gives no random bytes.
    pub fn of_password(password: &str) -> Option<Self> {
        let mut salt = vec![0; SALT_BYTES];
        rand::fill(&mut salt).ok()?;
        Some(Self::derive(password, salt, ITERATIONS))
    }

    fn derive(password: &str, salt: Vec<u8>, iterations: NonZeroU32) -> Self {
        // What SASLprep forbids is taken as it is, as PostgreSQL and its clients do.
        let prepared = stringprep::saslprep(password).map_or_else(|_| password.to_owned(), Into::into);
        let mut salted = [0; KEY_BYTES];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, &salt, prepared.as_bytes(), &mut salted);
        let client_key = mac(&salted, b"Client Key");
        Self { iterations, salt, stored_key: hash(&client_key), server_key: mac(&salted, b"Server Key") }
    }

    /// What stands for a user who is not there: it looks like a verifier, always the same for one name, and fits no password.
    pub fn of_nobody(secret: &[u8], name: &str) -> Self {
        let of = |what: &str| mac(secret, format!("{what}:{name}").as_bytes());
        let salt = of("salt").get(..SALT_BYTES).unwrap_or_default().to_vec();
        Self { iterations: ITERATIONS, salt, stored_key: of("stored"), server_key: of("server") }
    }

    /// Reads `SCRAM-SHA-256$iterations:salt$stored-key:server-key`.
    pub fn parse(text: &str) -> Option<Self> {
        let (parameters, keys) = text.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?;
        let (iterations, salt) = parameters.split_once(':')?;
        let (stored_key, server_key) = keys.split_once(':')?;
        let key = |text: &str| BASE64.decode(text).ok()?.try_into().ok();
        let iterations: NonZeroU32 =
            iterations.parse().ok().filter(|count| (ITERATIONS..=MOST_ITERATIONS).contains(count))?;
        let salt = BASE64.decode(salt).ok().filter(|salt| !salt.is_empty())?;
        Some(Self { iterations, salt, stored_key: key(stored_key)?, server_key: key(server_key)? })
    }
}

/// More would let one login keep a processor busy for seconds.
const MOST_ITERATIONS: NonZeroU32 = NonZeroU32::new(1_000_000).unwrap();

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [salt, stored_key, server_key] =
            [self.salt.as_slice(), &self.stored_key, &self.server_key].map(|bytes| BASE64.encode(bytes));
        write!(f, "SCRAM-SHA-256${}:{salt}${stored_key}:{server_key}", self.iterations)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(…)")
    }
}

/// Why a login has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    #[error("the message is none of SCRAM-SHA-256")]
    Malformed,
    #[error("channel binding is not offered")]
    ChannelBinding,
    #[error("the password does not fit")]
    Wrong,
}

/// One login under way: the server has answered the client's first message.
#[derive(Debug)]
pub struct Exchange {
    verifier: Verifier,
    /// What the client said of channel binding, which it must say again.
    header: String,
    nonce: String,
    /// Both first messages, as they are signed.
    first_messages: String,
}

impl Exchange {
    /// Takes the client's first message; returns the server's.
    ///
    /// # Errors
    /// It is no such message, or wants channel binding, or the machine gives no random bytes.
    pub fn begin(verifier: Verifier, client_first: &[u8]) -> Result<(Self, String), ScramError> {
        let mut nonce = [0; NONCE_BYTES];
        rand::fill(&mut nonce).map_err(|_| ScramError::Malformed)?;
        Self::with_nonce(verifier, client_first, &BASE64.encode(nonce))
    }

    fn with_nonce(verifier: Verifier, client_first: &[u8], nonce: &str) -> Result<(Self, String), ScramError> {
        let text = str::from_utf8(client_first).map_err(|_| ScramError::Malformed)?;
        let mut parts = text.splitn(3, ',');
        let (Some(binding), Some(authorization), Some(bare)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(ScramError::Malformed);
        };
        match binding {
            "n" | "y" => {}
            binding if binding.starts_with("p=") => return Err(ScramError::ChannelBinding),
            _ => return Err(ScramError::Malformed),
        }
        // Nobody asks in another's name; and an extension that must be understood is not.
        if !authorization.is_empty() || bare.starts_with("m=") {
            return Err(ScramError::Malformed);
        }
        let client_nonce = bare.strip_prefix("n=").and_then(|rest| rest.split_once(",r=")).map(|(_, rest)| rest);
        let client_nonce = client_nonce.and_then(|rest| rest.split(',').next()).filter(|nonce| !nonce.is_empty());
        let nonce = format!("{}{nonce}", client_nonce.ok_or(ScramError::Malformed)?);
        let server_first = format!("r={nonce},s={},i={}", BASE64.encode(&verifier.salt), verifier.iterations);
        let exchange = Self {
            verifier,
            header: format!("{binding},{authorization},"),
            nonce,
            first_messages: format!("{bare},{server_first}"),
        };
        Ok((exchange, server_first))
    }

    /// Takes the client's final message; returns the server's, which proves that it holds the verifier.
    ///
    /// # Errors
    /// [`ScramError::Wrong`] where the client does not know the password.
    pub fn finish(self, client_final: &[u8]) -> Result<String, ScramError> {
        let text = str::from_utf8(client_final).map_err(|_| ScramError::Malformed)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(ScramError::Malformed)?;
        let mut fields = without_proof.split(',');
        let bound = fields.next().and_then(|field| field.strip_prefix("c=")).ok_or(ScramError::Malformed)?;
        let nonce = fields.next().and_then(|field| field.strip_prefix("r=")).ok_or(ScramError::Malformed)?;
        if bound != BASE64.encode(&self.header) {
            return Err(ScramError::ChannelBinding);
        }
        if nonce != self.nonce {
            return Err(ScramError::Malformed);
        }
        let proof: [u8; KEY_BYTES] =
            BASE64.decode(proof).ok().and_then(|proof| proof.try_into().ok()).ok_or(ScramError::Malformed)?;
        let signed = format!("{},{without_proof}", self.first_messages);
        let signature = mac(&self.verifier.stored_key, signed.as_bytes());
        let client_key: Vec<u8> = proof.iter().zip(signature).map(|(proof, signature)| proof ^ signature).collect();
        constant_time::verify_slices_are_equal(&hash(&client_key), &self.verifier.stored_key)
            .map_err(|_| ScramError::Wrong)?;
        Ok(format!("v={}", BASE64.encode(mac(&self.verifier.server_key, signed.as_bytes()))))
    }
}

fn mac(key: &[u8], message: &[u8]) -> [u8; KEY_BYTES] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
    sized(tag.as_ref())
}

fn hash(bytes: &[u8]) -> [u8; KEY_BYTES] {
    sized(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// SHA-256 has as many bytes.
fn sized(bytes: &[u8]) -> [u8; KEY_BYTES] {
    let mut sized = [0; KEY_BYTES];
    sized.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    sized
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677, section 3.
    #[test]
    fn the_standards_example_is_played_through() {
        let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let verifier = Verifier::derive("pencil", salt, ITERATIONS);
        let server_nonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let (exchange, first) =
            Exchange::with_nonce(verifier, b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO", server_nonce).unwrap();
        assert_eq!(first, "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
        let last = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        assert_eq!(exchange.finish(last.as_bytes()).unwrap(), "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn a_verifier_is_written_as_it_is_read_and_differs_for_the_same_password() {
        let one = Verifier::of_password("correct horse").unwrap();
        assert_eq!(Verifier::parse(&one.to_string()), Some(one.clone()));
        assert_ne!(Verifier::of_password("correct horse").unwrap(), one);
        assert_eq!(format!("{one:?}"), "Verifier(…)");
        for wrong in ["", "correct horse", "SCRAM-SHA-256$1:AAAA$AAAA:AAAA", "SCRAM-SHA-256$4096:$:"] {
            assert_eq!(Verifier::parse(wrong), None, "{wrong}");
        }
        let text = one.to_string();
        assert_eq!(Verifier::parse(&text.replace("$4096:", "$4095:")), None, "too few iterations");
        assert_eq!(Verifier::parse(&text.replace("$4096:", "$4000000000:")), None, "too many iterations");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let verifier = Verifier::derive("pencil", vec![1; SALT_BYTES], ITERATIONS);
        let begin = |first: &str| Exchange::with_nonce(verifier.clone(), first.as_bytes(), "s").map(|_| ());
        assert_eq!(begin("p=tls-server-end-point,,n=,r=c"), Err(ScramError::ChannelBinding));
        for malformed in ["", "n", "n,,", "n,,n=", "n,,n=,r=", "x,,n=,r=c", "n,a=root,n=,r=c", "n,,m=x,n=,r=c"] {
            assert_eq!(begin(malformed), Err(ScramError::Malformed), "{malformed}");
        }
        let finish = |last: &str| {
            let (exchange, _) = Exchange::with_nonce(verifier.clone(), b"n,,n=,r=c", "s").unwrap();
            exchange.finish(last.as_bytes())
        };
        let proof = BASE64.encode([0; KEY_BYTES]);
        assert_eq!(finish(&format!("c=biws,r=cs,p={proof}")), Err(ScramError::Wrong));
        assert_eq!(finish(&format!("c=biws,r=other,p={proof}")), Err(ScramError::Malformed));
        assert_eq!(finish(&format!("c=eSws,r=cs,p={proof}")), Err(ScramError::ChannelBinding));
        for malformed in ["", "c=biws,r=cs", "c=biws,r=cs,p=AAAA", "c=biws,r=cs,p=?"] {
            assert_eq!(finish(malformed), Err(ScramError::Malformed), "{malformed}");
        }
    }

    #[test]
    fn nobody_has_the_same_salt_each_time_and_another_than_somebody_else() {
        let salt = |secret: &[u8], name: &str| Verifier::of_nobody(secret, name).salt;
        assert_eq!(salt(b"s", "ann"), salt(b"s", "ann"));
        assert_ne!(salt(b"s", "ann"), salt(b"s", "bob"));
        assert_ne!(salt(b"s", "ann"), salt(b"t", "ann"));
    }
}
