//! What a record holds, and how it is written as one line.
//!
//! A line is `{"sequence":…,"time":"…","previous":"…","body":{…},"hash":"…"}`. The hash is SHA-256 over the line's bytes
//! up to the comma before `"hash"`: whoever has `sha256sum` can check a record without this program.

use chrono::{SecondsFormat, Utc};
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::BreakKind;
use crate::hexadecimal::to_hexadecimal;

/// What is about to be done: durable before the first source call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Intent {
    pub query_id: String,
    pub user: String,
    pub organisation: String,
    pub role: String,
    pub purpose: String,
    pub case_reference: Option<String>,
    pub reason: Option<String>,
    pub sql: String,
    /// Hash over the whole policy in force.
    pub policy_hash: String,
    pub agreements: Vec<AgreementRef>,
    pub statements: Vec<SourceStatement>,
    pub disclosures: Vec<Disclosure>,
    /// Agreements whose consent is passed over; left out where there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub passed_over: Vec<ConsentPassedOver>,
}

/// An agreement whose consent is passed over, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsentPassedOver {
    pub agreement: String,
    #[serde(flatten)]
    pub how: PassedOverBy,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "kebab-case")]
pub enum PassedOverBy {
    Override {
        gateway: String,
    },
    /// To be reviewed under this id.
    BreakGlass {
        id: String,
        /// RFC 3339.
        until: String,
        owner: String,
    },
}

/// Somebody has looked at an emergency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// Of the emergency.
    pub id: String,
    pub by: String,
    pub finding: ReviewFinding,
    pub note: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReviewFinding {
    Justified,
    Unjustified,
}

/// An agreement as it stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AgreementRef {
    pub id: String,
    pub hash: String,
}

/// The SQL that one agency is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceStatement {
    pub agency: String,
    pub sql: String,
    /// Ids of the agreements under which its rows are released.
    pub released_under: Vec<String>,
    /// Agencies whose subject keys narrow the statement.
    pub keys_from: Vec<String>,
}

/// Subject keys of one agency that another one gets to see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Disclosure {
    pub from: String,
    pub to: String,
    pub scheme: String,
    /// Whether as pseudonyms; left out where they go as they are.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pseudonymised: bool,
}

/// What came of an intent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    pub query_id: String,
    pub status: Status,
    pub error_code: Option<String>,
    pub rows_returned: u64,
    pub duration_ms: u64,
    /// Agency and rows that left it.
    #[serde(serialize_with = "rows_by_agency")]
    pub rows_read: Vec<(String, u64)>,
    pub keys_disclosed: Vec<KeyCount>,
    pub statements_run: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    Completed,
    Failed,
    Cancelled,
    Refused,
}

/// How many subject keys went to an agency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyCount {
    pub from: Vec<String>,
    pub to: String,
    pub keys: u64,
    /// Whether as pseudonyms; left out where they went as they are.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pseudonymised: bool,
}

/// A query that policy refused, so that no source was called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Refusal {
    pub query_id: String,
    pub user: String,
    pub organisation: String,
    pub role: String,
    pub purpose: String,
    pub sql: String,
    pub error_code: String,
    /// Hash over the whole policy in force.
    pub policy_hash: String,
}

/// Somebody could not prove to be who they said: at no time is it known who it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailedLogin {
    /// As it was said.
    pub user: String,
    /// From where, as an IP address.
    pub address: String,
    pub endpoint: String,
}

/// A line that a crash left unfinished was moved aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Recovered {
    pub pieces: Vec<Piece>,
}

/// A file in the audit directory that holds an unfinished line as it was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    pub file: String,
    pub bytes: u64,
    pub sha256: String,
}

#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(super) enum Body {
    Intent(Intent),
    Outcome(Outcome),
    Refusal(Refusal),
    Review(Review),
    FailedLogin(FailedLogin),
    Recovered(Recovered),
}

fn rows_by_agency<S: Serializer>(rows: &[(String, u64)], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Row<'a> {
        agency: &'a str,
        rows: u64,
    }
    serializer.collect_seq(rows.iter().map(|(agency, rows)| Row { agency, rows: *rows }))
}

/// A place in the chain: a record's number and hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub sequence: u64,
    /// 64 hexadecimal digits.
    pub hash: String,
}

impl Head {
    /// The place before the first record.
    pub(super) fn origin() -> Self {
        Self { sequence: 0, hash: "0".repeat(HASH_DIGITS) }
    }
}

const HASH_DIGITS: usize = 64;
const HASH_OPENS: &str = ",\"hash\":\"";
const HASH_CLOSES: &str = "\"}";

/// How a line that carries this record number must begin.
pub(super) fn opening(sequence: u64) -> String {
    format!("{{\"sequence\":{sequence},\"time\":\"")
}

/// Writes the next record as a line with its newline, and says where the chain then stands. `body` is a JSON object.
pub(super) fn seal(head: &Head, body: &str) -> (String, Head) {
    let sequence = head.sequence.saturating_add(1);
    let time = Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true);
    let mut line = format!("{}{time}\",\"previous\":\"{}\",\"body\":{body}", opening(sequence), head.hash);
    let hash = sha256_hex(line.as_bytes());
    line.extend([HASH_OPENS, &hash, HASH_CLOSES, "\n"]);
    (line, Head { sequence, hash })
}

/// A record as it was read back; its hash is known to fit its content.
#[derive(Debug)]
pub(super) struct Sealed {
    pub head: Head,
    /// RFC 3339.
    pub time: String,
    pub previous: String,
    pub body: serde_json::Value,
}

impl Sealed {
    /// Reads a line without its newline.
    pub fn parse(line: &[u8]) -> Result<Self, BreakKind> {
        #[derive(Deserialize)]
        struct Fields {
            sequence: u64,
            time: String,
            previous: String,
            body: serde_json::Value,
        }
        let content_length =
            line.len().checked_sub(HASH_OPENS.len() + HASH_DIGITS + HASH_CLOSES.len()).ok_or(BreakKind::NotARecord)?;
        let (content, seal) = line.split_at_checked(content_length).ok_or(BreakKind::NotARecord)?;
        let hash = sha256_hex(content);
        if seal != [HASH_OPENS, &hash, HASH_CLOSES].concat().as_bytes() {
            return Err(if serde_json::from_slice::<Fields>(line).is_ok() {
                BreakKind::Hash
            } else {
                BreakKind::NotARecord
            });
        }
        let fields: Fields = serde_json::from_slice(line).map_err(|_| BreakKind::NotARecord)?;
        let Fields { sequence, time, previous, body } = fields;
        Ok(Self { head: Head { sequence, hash }, time, previous, body })
    }

    /// Whether this record is the one after `head`.
    pub fn follows(&self, head: &Head) -> Result<(), BreakKind> {
        let expected = head.sequence.saturating_add(1);
        if self.head.sequence != expected {
            return Err(BreakKind::Sequence { expected, found: self.head.sequence });
        }
        if self.previous != head.hash {
            return Err(BreakKind::Previous);
        }
        Ok(())
    }
}

pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    to_hexadecimal(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_line_reads_back_and_follows() {
        let (first, head) = seal(&Head::origin(), r#"{"kind":"refusal"}"#);
        let read = Sealed::parse(first.trim_end().as_bytes()).unwrap();
        assert_eq!(read.head, head);
        read.follows(&Head::origin()).unwrap();
        assert_eq!(read.follows(&head), Err(BreakKind::Sequence { expected: 2, found: 1 }));
        let elsewhere = Head { sequence: 0, hash: head.hash };
        assert_eq!(read.follows(&elsewhere), Err(BreakKind::Previous));
    }

    #[test]
    fn any_flipped_bit_of_a_line_is_found() {
        let (line, _) = seal(&Head::origin(), r#"{"kind":"refusal","sql":"SELECT 1"}"#);
        let line = line.trim_end().as_bytes();
        for position in 0..line.len() {
            for bit in 0..8 {
                let mut changed = line.to_vec();
                changed[position] ^= 1 << bit;
                assert!(Sealed::parse(&changed).is_err(), "bit {bit} of byte {position}");
            }
        }
    }

    #[test]
    fn a_line_is_plain_json_with_the_stated_fields() {
        let outcome = Body::Outcome(Outcome {
            query_id: "q".to_owned(),
            status: Status::Completed,
            error_code: None,
            rows_returned: 2,
            duration_ms: 5,
            rows_read: vec![("health".to_owned(), 7)],
            keys_disclosed: vec![],
            statements_run: 1,
        });
        let (line, _) = seal(&Head::origin(), &serde_json::to_string(&outcome).unwrap());
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["body"]["kind"], "outcome");
        assert_eq!(value["body"]["status"], "completed");
        assert_eq!(value["body"]["rows_read"][0]["agency"], "health");
        assert_eq!(value["previous"], "0".repeat(64));
        let time = value["time"].as_str().unwrap();
        assert_eq!(time.len(), "2026-01-01T00:00:00.000000Z".len(), "{time}");
    }
}
