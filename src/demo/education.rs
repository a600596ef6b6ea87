//! Education: pupils by their own unique pupil number, the NHS number with hyphens where the school nurse gave it.

use chrono::Datelike;
use rusqlite::{Transaction, params};
use wayleave_connector_api::Form;

use super::database::Agency;
use super::names;
use super::population::{Person, Role, days_ago};
use super::random::Random;
use super::written;

pub const AGENCY: Agency = Agency {
    name: "education",
    tables: "
        CREATE TABLE pupils (
            upn          TEXT PRIMARY KEY NOT NULL,
            nhs_number   TEXT,
            surname      TEXT NOT NULL,
            forename     TEXT NOT NULL,
            born_on      DATE NOT NULL,
            school       TEXT NOT NULL,
            year_group   INTEGER,
            sen_support  TEXT,
            looked_after BOOLEAN NOT NULL,
            postcode     TEXT
        );
        CREATE TABLE absences (
            absence_id INTEGER PRIMARY KEY,
            upn        TEXT NOT NULL REFERENCES pupils (upn),
            nhs_number TEXT,
            absent_on  DATE NOT NULL,
            session    TEXT NOT NULL,
            code       TEXT NOT NULL,
            authorised BOOLEAN NOT NULL
        );",
    indexes: "
        CREATE INDEX pupils_by_number ON pupils (nhs_number);
        CREATE INDEX absences_by_number ON absences (nhs_number);
        CREATE INDEX absences_by_pupil ON absences (upn);",
    fill,
};

fn fill(transaction: &Transaction<'_>, persons: &[Person], random: &mut Random) -> rusqlite::Result<()> {
    let mut pupils = transaction.prepare_cached(
        "INSERT INTO pupils (upn, nhs_number, surname, forename, born_on, school, year_group, sen_support, looked_after,
                             postcode)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    let mut absences = transaction.prepare_cached(
        "INSERT INTO absences (upn, nhs_number, absent_on, session, code, authorised) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for (place, person) in persons.iter().filter(|person| person.known_to.education).enumerate() {
        let known = person.role != Role::Crowd;
        // The local authority's part, the year, and a number that no other pupil has.
        let upn = format!("Z880{:02}{place:06}", person.born.year() % 100);
        let number =
            (known || !random.chance(180)).then(|| written::number(&person.nhs_number, Form::Hyphenated, random));
        pupils.execute(params![
            upn,
            number,
            person.last_name,
            person.first_name,
            person.born.to_string(),
            random.pick(if person.age() < 12 { names::PRIMARY_SCHOOLS } else { names::SECONDARY_SCHOOLS }),
            (known || !random.chance(15)).then(|| (person.age() - 5).clamp(0, 13)),
            random.chance(140).then(|| random.pick(&["EHC plan", "SEN support"])),
            person.known_to.social && random.chance(200),
            (known || !random.chance(30)).then_some(&person.postcode),
        ])?;
        let days = if known { 12 } else { random.below(12) };
        for _ in 0..days {
            let authorised = !known && random.chance(700);
            let code = random.pick(if authorised { &["I", "M", "C", "E"] } else { &["O", "G", "U", "N"] });
            absences.execute(params![
                upn,
                number,
                days_ago(random.below(280)).to_string(),
                random.pick(&["AM", "PM"]),
                code,
                authorised,
            ])?;
        }
    }
    Ok(())
}
