//! The fuzz targets of `tests/fuzz`, driven by chance from a seed: what a fuzzer does for hours, for a moment in every run.

#[path = "../fuzz/targets.rs"]
mod targets;

use crate::certificate::chance::Chance;

/// Every file that people write, as a fuzzer's first inputs.
fn corpus() -> Vec<Vec<u8>> {
    let mut corpus = vec![targets::REGISTERS.into(), targets::PURPOSES.into()];
    for directory in
        ["policies", "policies/agreements", "tests/seed/policies", "tests/seed/policies/agreements", "src/demo"]
    {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                corpus.push(std::fs::read(path).unwrap());
            }
        }
    }
    corpus
}

/// Bits, bytes, lines and pieces of others: what tells a fuzzer's mutations from noise is that most of the file stays.
fn mutated(chance: &mut Chance, corpus: &[Vec<u8>]) -> Vec<u8> {
    const WORDS: [&[u8]; 14] = [
        b"\"\"",
        b"[",
        b"]]",
        b"=",
        b"'''",
        b"\"\"\"",
        b"\n[share]\n",
        b"\n[[share]]\n",
        b"2026-02-30",
        b"-1",
        b"18446744073709551616",
        b"\xff",
        "\u{202e}".as_bytes(),
        b"draft = true\n",
    ];
    let mut input = chance.pick(corpus);
    for _ in 0..chance.between(1, 4) {
        let at = chance.below(input.len() + 1);
        let end = (at + chance.below(40)).min(input.len());
        match chance.below(6) {
            0 => drop(input.drain(at..end)),
            1 => drop(input.splice(at..at, chance.pick(&WORDS).iter().copied())),
            2 => drop(input.splice(at..end, chance.pick(&WORDS).iter().copied())),
            3 => input.truncate(at),
            4 => {
                let other = chance.pick(corpus);
                let from = chance.below(other.len());
                let to = (from + chance.below(200)).min(other.len());
                input.splice(at..at, other[from..to].iter().copied());
            }
            _ => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << chance.below(8);
                }
            }
        }
    }
    input
}

#[test]
fn no_bytes_make_the_readers_panic() {
    let corpus = corpus();
    assert!(corpus.len() > 20);
    corpus.iter().for_each(|input| targets::parse(input));
    let mut chance = Chance::new(2026);
    for _ in 0..1_500 {
        targets::parse(&mutated(&mut chance, &corpus));
    }
}

#[test]
fn fewer_agreements_never_release_more() {
    let mut chance = Chance::new(7);
    for _ in 0..400 {
        let input: Vec<u8> = (0..chance.between(10, 90)).map(|_| chance.next() as u8).collect();
        targets::decide(&input);
    }
}
