//! Social care: ten plain digits where the number is known at all, dates of birth as `DD/MM/YYYY` text, and some people
//! recorded twice.

use chrono::NaiveDate;
use rusqlite::{Transaction, params};
use wayleave_connector_api::Form;

use super::database::Agency;
use super::names;
use super::population::{Person, Role, days_ago};
use super::random::Random;
use super::written;

pub const AGENCY: Agency = Agency {
    name: "social",
    tables: "
        CREATE TABLE clients (
            client_id     INTEGER PRIMARY KEY,
            nhs_number    TEXT,
            full_name     TEXT NOT NULL,
            date_of_birth TEXT,
            status        TEXT NOT NULL,
            team          TEXT NOT NULL,
            address       TEXT,
            phone         TEXT
        );
        CREATE TABLE packages (
            package_id        INTEGER PRIMARY KEY,
            client_id         INTEGER NOT NULL REFERENCES clients (client_id),
            nhs_number        TEXT,
            kind              TEXT NOT NULL,
            weekly_cost_pence INTEGER NOT NULL,
            start_date        DATE NOT NULL,
            end_date          DATE
        );
        CREATE TABLE assessments (
            assessment_id INTEGER PRIMARY KEY,
            client_id     INTEGER NOT NULL REFERENCES clients (client_id),
            nhs_number    TEXT,
            assessed_on   DATE NOT NULL,
            need          TEXT NOT NULL,
            score         INTEGER,
            note          TEXT
        );",
    indexes: "
        CREATE INDEX clients_by_number ON clients (nhs_number);
        CREATE INDEX packages_by_number ON packages (nhs_number);
        CREATE INDEX packages_by_client ON packages (client_id);
        CREATE INDEX assessments_by_number ON assessments (nhs_number);
        CREATE INDEX assessments_by_client ON assessments (client_id);",
    fill,
};

fn fill(transaction: &Transaction<'_>, persons: &[Person], random: &mut Random) -> rusqlite::Result<()> {
    let mut clients = transaction.prepare_cached(
        "INSERT INTO clients (client_id, nhs_number, full_name, date_of_birth, status, team, address, phone)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    let mut packages = transaction.prepare_cached(
        "INSERT INTO packages (client_id, nhs_number, kind, weekly_cost_pence, start_date, end_date)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let mut assessments = transaction.prepare_cached(
        "INSERT INTO assessments (client_id, nhs_number, assessed_on, need, score, note) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let mut client_id: i64 = 40_000;
    for person in persons.iter().filter(|person| person.known_to.social) {
        let known = person.role != Role::Crowd;
        let number = (known || !random.chance(100)).then(|| written::number(&person.nhs_number, Form::Compact, random));
        let child = person.age() < 18;
        let teams = if child { names::CHILDREN_TEAMS } else { names::SOCIAL_TEAMS };
        let team = match person.role {
            Role::OlderClient => "Older People North",
            Role::Child => "Assessment and Safeguarding",
            Role::Crowd => random.pick_weighted(teams),
        };
        // One in fifty was taken on again as a new client.
        let records = if !known && random.chance(20) { 2 } else { 1 };
        for _ in 0..records {
            client_id += 1 + i64::try_from(random.below(9)).unwrap_or_default();
            let status = random.pick_weighted(&[("open", 70), ("Open", 6), ("closed", 20), ("CLOSED ", 4)]);
            clients.execute(params![
                client_id,
                number,
                written::typed_name(person, random),
                date_of_birth(person, random),
                if known { "open" } else { status },
                team,
                (known || !random.chance(60)).then_some(&person.address),
                (known || !random.chance(300)).then_some(&person.phone),
            ])?;
            let kinds: &[&str] = if child {
                &["short breaks", "family support", "foster placement"]
            } else {
                &["home care", "day centre", "residential", "direct payment", "telecare", "meals", "reablement"]
            };
            let package_count = if known { 2 } else { random.below(4) };
            for _ in 0..package_count {
                let start = random.between(20, 1600);
                let end = random.chance(300).then(|| days_ago(random.below(start)));
                packages.execute(params![
                    client_id,
                    number,
                    random.pick(kinds),
                    i64::try_from(random.between(18, 1450) * 100 + random.below(2) * 50).unwrap_or_default(),
                    days_ago(start).to_string(),
                    end.map(|day| day.to_string()),
                ])?;
            }
            let assessment_count = if known { 1 } else { random.below(3) };
            for _ in 0..assessment_count {
                assessments.execute(params![
                    client_id,
                    number,
                    days_ago(random.below(1000)).to_string(),
                    random.pick(&[
                        "personal care",
                        "mobility",
                        "meals",
                        "safety at home",
                        "carer strain",
                        "medication"
                    ]),
                    random.chance(850).then(|| i64::try_from(random.below(21)).unwrap_or_default()),
                    random.chance(400).then(|| {
                        random.pick(&[
                            "daughter visits at weekends",
                            "key safe by the back door",
                            "prefers mornings",
                            "two carers for transfers",
                            "hearing aid, speak clearly",
                            "dog in the house",
                        ])
                    }),
                ])?;
            }
        }
    }
    Ok(())
}

/// Text, mostly `DD/MM/YYYY`; some ISO from an import, some years only, some the `01/01/1900` of a compulsory field.
fn date_of_birth(person: &Person, random: &mut Random) -> Option<String> {
    if person.role != Role::Crowd {
        return Some(written::british_date(person.born));
    }
    match random.below(100) {
        0..=2 => None,
        3..=5 => Some(person.born.to_string()),
        6 => Some(person.born.format("%Y").to_string()),
        7 => NaiveDate::from_ymd_opt(1900, 1, 1).map(written::british_date),
        _ => Some(written::british_date(person.born)),
    }
}
