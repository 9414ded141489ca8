//! An order in which everything can be created: what is needed comes first, and otherwise by sort and name.

use std::collections::{BTreeMap, BTreeSet};

use super::Entry;
use super::tables::RawTable;
use crate::link::Texts;

/// Rank of tables among all objects.
const TABLE: u8 = 30;

/// What was found.
#[derive(Debug)]
pub(super) struct Order {
    /// Numbers of the tables.
    pub(super) tables: Vec<String>,
    /// All other objects.
    pub(super) entries: Vec<Entry>,
}

/// A table or an object.
#[derive(Debug)]
struct Node {
    entry: Option<Entry>,
    oid: String,
    key: (u8, String),
    /// What has to be there before.
    needs: BTreeSet<usize>,
    /// What had better be there before: the tables that foreign keys refer to.
    wants: BTreeSet<usize>,
}

/// Sorts tables and objects.
pub(super) fn sort(tables: &[RawTable], entries: Vec<Entry>, needs: &[Texts]) -> Order {
    let mut nodes: Vec<Node> = tables
        .iter()
        .map(|table| node(None, table.oid.clone(), (TABLE, table.name.to_string())))
        .collect();
    nodes.extend(entries.into_iter().map(|entry| {
        let key = (entry.rank, entry.object.name.to_string());
        node(Some(entry.clone()), entry.oid, key)
    }));
    // Objects of one sort keep the order in which they were read.
    nodes.sort_by_key(|node| node.key.0);
    let index: BTreeMap<String, usize> = nodes
        .iter()
        .enumerate()
        .filter(|(_, node)| !node.oid.is_empty())
        .map(|(index, node)| (node.oid.clone(), index))
        .collect();
    for row in needs {
        if let (Some(one), Some(other)) = (index.get(row.get(0)), index.get(row.get(1)))
            && one != other
            // A sequence belongs to its column, which draws from it: the sequence comes first.
            && !(nodes[*one].key.0 == super::sequences::RANK && nodes[*other].key.0 == TABLE)
        {
            nodes[*one].needs.insert(*other);
        }
    }
    for table in tables {
        let Some(own) = index.get(&table.oid) else {
            continue;
        };
        let parents = table.parents.iter().filter_map(|oid| index.get(oid));
        nodes[*own].needs.extend(parents);
        let referred = table
            .constraints
            .iter()
            .filter_map(|key| index.get(&key.refers_to));
        nodes[*own].wants.extend(referred.filter(|other| *other != own));
    }
    walk(nodes)
}

fn node(entry: Option<Entry>, oid: String, key: (u8, String)) -> Node {
    Node {
        entry,
        oid,
        key,
        needs: BTreeSet::new(),
        wants: BTreeSet::new(),
    }
}

fn walk(mut nodes: Vec<Node>) -> Order {
    let mut order = Order {
        tables: Vec::new(),
        entries: Vec::new(),
    };
    let mut waiting: BTreeSet<usize> = (0..nodes.len()).collect();
    while let Some(first) = waiting.first().copied() {
        let is_ready = |index: &&usize, also_wants: bool| {
            let node = &nodes[**index];
            let there = |other: &usize| !waiting.contains(other);
            node.needs.iter().all(there) && (!also_wants || node.wants.iter().all(there))
        };
        // A circle of foreign keys is cut at its first table; one of anything else, at its first member.
        let next = waiting
            .iter()
            .find(|index| is_ready(index, true))
            .or_else(|| waiting.iter().find(|index| is_ready(index, false)))
            .copied()
            .unwrap_or(first);
        waiting.remove(&next);
        match nodes[next].entry.take() {
            Some(entry) => order.entries.push(entry),
            None => order.tables.push(nodes[next].oid.clone()),
        }
    }
    order
}
