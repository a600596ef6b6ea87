//! Police: few numbers, in any form; people recorded again at each event; incidents of which some are sensitive.

use rusqlite::{Transaction, params};
use wayleave_connector_api::Form;

use super::database::Agency;
use super::population::{Person, Role, days_ago};
use super::random::Random;
use super::written;

pub const AGENCY: Agency = Agency {
    name: "police",
    tables: "
        CREATE TABLE persons (
            person_id  INTEGER PRIMARY KEY,
            nhs_number TEXT,
            name       TEXT NOT NULL,
            born_on    DATE,
            postcode   TEXT,
            warning    TEXT
        );
        CREATE TABLE incidents (
            incident_id INTEGER PRIMARY KEY,
            person_id   INTEGER NOT NULL REFERENCES persons (person_id),
            nhs_number  TEXT,
            kind        TEXT NOT NULL,
            role        TEXT NOT NULL,
            happened_at TIMESTAMP NOT NULL,
            postcode    TEXT,
            sensitive   BOOLEAN NOT NULL,
            summary     TEXT
        );",
    indexes: "
        CREATE INDEX persons_by_number ON persons (nhs_number);
        CREATE INDEX incidents_by_number ON incidents (nhs_number);
        CREATE INDEX incidents_by_person ON incidents (person_id);",
    fill,
};

fn fill(transaction: &Transaction<'_>, persons: &[Person], random: &mut Random) -> rusqlite::Result<()> {
    let mut records = transaction.prepare_cached(
        "INSERT INTO persons (person_id, nhs_number, name, born_on, postcode, warning) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let mut incidents = transaction.prepare_cached(
        "INSERT INTO incidents (person_id, nhs_number, kind, role, happened_at, postcode, sensitive, summary)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    let mut person_id: i64 = 700_000;
    for person in persons.iter().filter(|person| person.known_to.police) {
        let known = person.role != Role::Crowd;
        let times_recorded = if !known && random.chance(120) { 2 } else { 1 };
        for _ in 0..times_recorded {
            person_id += 1;
            let number = match random.below(100) {
                _ if known => Some(written::number(&person.nhs_number, Form::Compact, random)),
                0..=54 => None,
                55..=56 => Some(written::number(&written::mistyped(&person.nhs_number), Form::Mixed, random)),
                _ => Some(written::number(&person.nhs_number, Form::Mixed, random)),
            };
            records.execute(params![
                person_id,
                number,
                written::typed_name(person, random),
                (known || !random.chance(120)).then(|| person.born.to_string()),
                (known || !random.chance(200)).then_some(&person.postcode),
                random.chance(60).then(|| random.pick(&["violent", "mental health", "weapons", "escaper"])),
            ])?;
            let incident_count = if known { 2 } else { random.between(1, 3) };
            for _ in 0..incident_count {
                let sensitive = !known && random.chance(150);
                let kind = if sensitive {
                    random.pick(&["domestic abuse", "sexual offence", "child protection"])
                } else {
                    random.pick(&["theft", "missing person", "anti-social behaviour", "burglary", "road collision"])
                };
                let happened =
                    format!("{} {:02}:{:02}:00", days_ago(random.below(900)), random.below(24), random.below(60));
                incidents.execute(params![
                    person_id,
                    number,
                    if known { "missing person" } else { kind },
                    if known { "subject" } else { random.pick(&["victim", "witness", "suspect", "subject"]) },
                    happened,
                    (known || !random.chance(100)).then_some(&person.postcode),
                    sensitive,
                    random.chance(500).then(|| random.pick(&["no further action", "referred", "open", "charged"])),
                ])?;
            }
        }
    }
    Ok(())
}
