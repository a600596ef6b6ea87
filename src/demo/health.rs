//! Health: numbers in groups of three, three and four, proper dates, and the shared-care register in which people say who
//! may see what.

use chrono::{Datelike, Days, NaiveDate};
use rusqlite::{CachedStatement, Transaction, params};
use wayleave_connector_api::Form;

use super::database::Agency;
use super::names;
use super::population::{Person, Role, Sex, days_ago};
use super::random::Random;
use super::written;

pub const AGENCY: Agency = Agency {
    name: "health",
    tables: "
        CREATE TABLE patients (
            patient_id    INTEGER PRIMARY KEY,
            nhs_number    TEXT,
            name          TEXT NOT NULL,
            dob           DATE NOT NULL,
            sex           TEXT NOT NULL,
            address       TEXT,
            postcode      TEXT,
            phone         TEXT,
            gp_practice   TEXT NOT NULL,
            deceased      BOOLEAN NOT NULL,
            registered_on DATE NOT NULL
        );
        CREATE TABLE encounters (
            encounter_id INTEGER PRIMARY KEY,
            nhs_number   TEXT,
            kind         TEXT NOT NULL,
            clinic       TEXT NOT NULL,
            happened_on  DATE NOT NULL,
            bed_days     INTEGER,
            reason       TEXT NOT NULL,
            sensitive    BOOLEAN NOT NULL
        );
        CREATE TABLE consents (
            consent_id  INTEGER PRIMARY KEY,
            nhs_number  TEXT NOT NULL,
            purpose     TEXT NOT NULL,
            recipient   TEXT NOT NULL,
            status      TEXT NOT NULL,
            valid_from  DATE NOT NULL,
            valid_to    DATE,
            recorded_by TEXT NOT NULL
        );",
    indexes: "
        CREATE INDEX patients_by_number ON patients (nhs_number);
        CREATE INDEX patients_by_practice ON patients (gp_practice);
        CREATE INDEX encounters_by_number ON encounters (nhs_number);
        CREATE INDEX consents_by_number ON consents (nhs_number);",
    fill,
};

/// What one line of the shared-care register says.
struct Decision {
    purpose: &'static str,
    recipient: &'static str,
    status: &'static str,
    from: NaiveDate,
    to: Option<NaiveDate>,
}

fn fill(transaction: &Transaction<'_>, persons: &[Person], random: &mut Random) -> rusqlite::Result<()> {
    let mut patients = transaction.prepare_cached(
        "INSERT INTO patients (nhs_number, name, dob, sex, address, postcode, phone, gp_practice, deceased, registered_on)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    let mut encounters = transaction.prepare_cached(
        "INSERT INTO encounters (nhs_number, kind, clinic, happened_on, bed_days, reason, sensitive)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    let mut consents = transaction.prepare_cached(
        "INSERT INTO consents (nhs_number, purpose, recipient, status, valid_from, valid_to, recorded_by)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for person in persons.iter().filter(|person| person.known_to.health) {
        let known = person.role != Role::Crowd;
        let number = written::number(&person.nhs_number, Form::Spaced, random);
        // Some were registered before their number was traced.
        let traced = known || !random.chance(6);
        let sex = match person.sex {
            _ if !known && random.chance(10) => "unknown",
            Sex::Female => "female",
            Sex::Male => "male",
        };
        let practice = if known { "Chelston Medical Practice" } else { random.pick_weighted(names::GP_PRACTICES) };
        let days_known = u64::try_from(person.age()).unwrap_or_default().min(30) * 365;
        patients.execute(params![
            traced.then_some(&number),
            written::typed_name(person, random),
            person.born.to_string(),
            sex,
            (known || !random.chance(20)).then_some(&person.address),
            (known || !random.chance(15)).then_some(&person.postcode),
            (known || !random.chance(250)).then_some(&person.phone),
            practice,
            person.deceased,
            days_ago(random.below(days_known + 1)).to_string(),
        ])?;
        if traced {
            write_encounters(&mut encounters, person, &number, random)?;
            for decision in decisions(person, random) {
                consents.execute(params![
                    number,
                    decision.purpose,
                    decision.recipient,
                    decision.status,
                    decision.from.to_string(),
                    decision.to.map(|day| day.to_string()),
                    random.pick(&["reception", "district nurse", "online form", "ward clerk", "practice nurse"]),
                ])?;
            }
        }
    }
    Ok(())
}

fn write_encounters(
    statement: &mut CachedStatement<'_>,
    person: &Person,
    number: &str,
    random: &mut Random,
) -> rusqlite::Result<()> {
    const PLAIN: &[&str] = &[
        "fall at home",
        "review of medicines",
        "chest infection",
        "hip pain",
        "blood pressure",
        "diabetes review",
        "fracture",
        "wound care",
        "cataract",
        "vaccination",
        "breathlessness",
        "memory concern",
    ];
    const SENSITIVE: &[&str] = &["mental health crisis", "sexual health", "substance use", "domestic injury"];
    let most = if person.age() >= 75 { 6 } else { 3 };
    for _ in 0..random.below(most + 1) {
        let kind = random.pick_weighted(&[("outpatient", 50), ("emergency", 22), ("inpatient", 18), ("community", 10)]);
        let sensitive = random.chance(40);
        let bed_days = (kind == "inpatient").then(|| random.between(1, 21));
        statement.execute(params![
            number,
            kind,
            random.pick(&["Torbay General", "Paignton Community", "Brixham Community", "Newton Minor Injuries"]),
            days_ago(random.below(1095)).to_string(),
            bed_days.and_then(|days| i64::try_from(days).ok()),
            random.pick(if sensitive { SENSITIVE } else { PLAIN }),
            sensitive,
        ])?;
    }
    Ok(())
}

/// What a person has said: most have said nothing or agreed; some refused, took it back, let it lapse, or said one thing
/// to everybody and another to one office.
fn decisions(person: &Person, random: &mut Random) -> Vec<Decision> {
    let from = days_ago(random.between(200, 1400));
    let since = |purpose, recipient, status| Decision { purpose, recipient, status, from, to: None };
    if person.role != Role::Crowd {
        let from = NaiveDate::from_ymd_opt(2025, 2, 10).unwrap_or_default();
        return vec![Decision { purpose: "direct_care", recipient: "TASC", status: "granted", from, to: None }];
    }
    let mut decisions = match random.below(100) {
        0..=41 => Vec::new(),
        42..=69 => vec![since("direct_care", "TASC", "granted")],
        70..=79 => vec![since("direct_care", "*", "granted")],
        80..=84 => vec![since("direct_care", "TASC", "refused")],
        85..=87 => vec![since("*", "*", "refused")],
        88..=91 => {
            let end = from.checked_add_days(Days::new(120));
            let after = Decision { from: end.unwrap_or(from), ..since("direct_care", "TASC", "withdrawn") };
            vec![Decision { to: end, ..since("direct_care", "TASC", "granted") }, after]
        }
        92..=94 => {
            let lapsed = NaiveDate::from_ymd_opt(from.year() + 1, 1, 1).filter(|end| *end < days_ago(90));
            vec![Decision { to: lapsed, ..since("direct_care", "TASC", "granted") }]
        }
        95..=96 => vec![since("direct_care", "*", "granted"), since("direct_care", "TASC", "refused")],
        97 => vec![since("*", "*", "refused"), since("direct_care", "TASC", "granted")],
        _ => vec![since("direct_care", "THOU", "refused")],
    };
    match random.below(100) {
        0..=4 => decisions.push(since("planning", "*", "refused")),
        5..=6 => decisions.push(since("planning", "TCOM", "refused")),
        7..=9 => decisions.push(since("research", "*", "granted")),
        _ => {}
    }
    decisions
}
