//! Random writes to what has to be unique and to what is checked, before, in and after migrations.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use walkback_tests::{Backend, Sandbox};

use super::{bare, walk_back};

/// `code` and `word` are unique, and `low` is not above `high`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cells {
    code: Option<i64>,
    word: i64,
    low: i64,
    high: i64,
}

type Rows = BTreeMap<i64, Cells>;

const KEYS: i64 = 14;
const VALUES: i64 = 16;

/// Writes at random what the table takes, into the database and into the model of it.
fn write(random: &mut StdRng, rows: &mut Rows, statements: &mut Vec<String>) {
    let id = random.random_range(1..KEYS);
    let free = |random: &mut StdRng, taken: &dyn Fn(i64) -> bool| {
        let from = random.random_range(0..VALUES);
        (from..from + VALUES)
            .map(|value| value % VALUES)
            .find(|value| !taken(*value))
    };
    let code = free(random, &|value| rows.values().any(|row| row.code == Some(value)));
    let code = code.filter(|_| random.random_range(0..5) > 0);
    let Some(word) = free(random, &|value| rows.values().any(|row| row.word == value)) else {
        return;
    };
    let (one, other) = (random.random_range(0..9), random.random_range(0..9));
    let (low, high) = (i64::min(one, other), i64::max(one, other));
    let null = |code: Option<i64>| code.map_or("NULL".to_owned(), |code| code.to_string());
    let Some(row) = rows.get_mut(&id) else {
        rows.insert(
            id,
            Cells {
                code,
                word,
                low,
                high,
            },
        );
        let code = null(code);
        statements.push(format!(
            "INSERT INTO q (id, code, word, low, high) VALUES ({id}, {code}, 'w{word}', {low}, {high})"
        ));
        return;
    };
    let set = match random.random_range(0..6) {
        0 => {
            rows.remove(&id);
            statements.push(format!("DELETE FROM q WHERE id = {id}"));
            return;
        }
        1 => {
            row.code = code;
            format!("code = {}", null(code))
        }
        2 => {
            row.word = word;
            format!("word = 'w{word}'")
        }
        3 if one <= row.high => {
            row.low = one;
            format!("low = {one}")
        }
        4 if one >= row.low => {
            row.high = one;
            format!("high = {one}")
        }
        _ => {
            (row.low, row.high) = (low, high);
            format!("low = {low}, high = {high}")
        }
    };
    statements.push(format!("UPDATE q SET {set} WHERE id = {id}"));
}

fn read(sandbox: &Sandbox) -> Rows {
    let mut session = sandbox.session();
    let mut rows = Rows::new();
    for id in 1..KEYS {
        let row = session.value(&format!(
            "SELECT coalesce(max(concat_ws(' ', coalesce(code, -1), substr(word, 2), low, high)), '-') FROM q WHERE id = {id}"
        ));
        if let [code, word, low, high] = row.split(' ').collect::<Vec<_>>()[..] {
            let number = |text: &str| text.parse::<i64>().expect("it is a number");
            let code = Some(number(code)).filter(|code| *code >= 0);
            let (word, low, high) = (number(word), number(low), number(high));
            rows.insert(
                id,
                Cells {
                    code,
                    word,
                    low,
                    high,
                },
            );
        }
    }
    rows
}

/// Says what is wrong with a row as it is after the rollback.
fn wrong(
    is: Option<&Cells>,
    (before, left, now): (Option<&Cells>, Option<&Cells>, Option<&Cells>),
    others: &[&Cells],
) -> Option<&'static str> {
    let has_code = |code: Option<i64>| code.is_some() && others.iter().any(|row| row.code == code);
    let has_word = |word: i64| others.iter().any(|row| row.word == word);
    let is_taken = |row: &Cells| has_code(row.code) || has_word(row.word);
    match (before, left, now, is) {
        (_, None, Some(now), is) => (is != Some(now)).then_some("it was written since"),
        (_, Some(_), None, is) => is.map(|_| "it was deleted since"),
        (None, Some(left), Some(now), is) if left == now => is.map(|_| "the migration inserted it"),
        (None, Some(_), Some(now), is) => (is != Some(now)).then_some("it was changed since"),
        (None, None, None, is) => is.map(|_| "nobody wrote it"),
        (Some(before), None, None, None) => (!is_taken(before)).then_some("its values are free"),
        (Some(before), None, None, Some(is)) => (is != before).then_some("the migration deleted it"),
        (Some(_), Some(_), Some(_), None) => Some("nobody deleted it"),
        (Some(before), Some(left), Some(now), Some(is)) => {
            let mixed = |before: i64, left: i64, now: i64| if now == left { before } else { now };
            let passes = mixed(before.low, left.low, now.low) <= mixed(before.high, left.high, now.high);
            let cell = |before: i64, left: i64, now: i64, is: i64, is_free: bool| {
                if now != left {
                    is == now
                } else if is_free {
                    is == before
                } else {
                    is == before || is == now
                }
            };
            let code = |code: Option<i64>| code.unwrap_or(-1);
            let cells = [
                cell(
                    code(before.code),
                    code(left.code),
                    code(now.code),
                    code(is.code),
                    !has_code(before.code),
                ),
                cell(before.word, left.word, now.word, is.word, !has_word(before.word)),
                cell(before.low, left.low, now.low, is.low, passes),
                cell(before.high, left.high, now.high, is.high, passes),
            ];
            (!cells.iter().all(|holds| *holds)).then_some("a cell is not what it has to be")
        }
    }
}

pub(crate) fn random_writes_to_what_is_unique_are_never_lost(backend: Backend) {
    let seed = walkback_tests::seed("surgical", backend);
    let mut random = StdRng::seed_from_u64(seed);
    let sandbox = bare(backend);
    let begin = "CREATE TABLE q (id INTEGER NOT NULL PRIMARY KEY, code INTEGER, word VARCHAR(10) NOT NULL UNIQUE, low INTEGER, high INTEGER, CHECK (low <= high));\n\
        CREATE UNIQUE INDEX codes ON q (code);";
    sandbox.migration("001_begin", begin, "");
    sandbox.ok(&["up", "-y"]);
    let rounds = if backend == Backend::Sqlite { 16 } else { 6 };
    let mut rows = Rows::new();
    for round in 0..rounds {
        let mut batch = |rows: &mut Rows, count: u32| {
            let mut statements = Vec::new();
            for _ in 0..count {
                write(&mut random, rows, &mut statements);
            }
            statements
        };
        for sql in batch(&mut rows, 20) {
            sandbox.sql(&sql);
        }
        let before = rows.clone();
        let name = format!("{:03}_random", round + 2);
        let mut up = batch(&mut rows, 14);
        if round % 2 == 1 {
            up.push("ALTER TABLE q ADD COLUMN more INTEGER".to_owned());
        }
        sandbox.migration(&name, &format!("{};", up.join(";\n")), "");
        sandbox.ok(&["up", "-y"]);
        let left = rows.clone();
        for sql in batch(&mut rows, 14) {
            sandbox.sql(&sql);
        }
        let now = rows.clone();
        let changes = walk_back(&sandbox, &[]);
        rows = read(&sandbox);
        for id in 1..KEYS {
            let of = (before.get(&id), left.get(&id), now.get(&id));
            let others: Vec<_> = rows
                .iter()
                .filter(|(other, _)| **other != id)
                .map(|(_, row)| row)
                .collect();
            let wrong = wrong(rows.get(&id), of, &others);
            assert_eq!(
                wrong,
                None,
                "row {id} in round {round} of seed {seed} is {:?}; before, left, now: {of:?}\n{rows:?}\n{changes}",
                rows.get(&id)
            );
        }
        sandbox.assert_sound();
        // It stays undone: the next one builds on what is there.
        sandbox.remove(&format!("migrations/{name}"));
    }
}
