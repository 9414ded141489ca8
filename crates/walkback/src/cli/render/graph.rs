//! The graph of migrations: as text with lanes, as a Mermaid flowchart, for Graphviz.

use std::fmt::Write as _;

use walkback_core::MigrationId;
use walkback_runner::{GraphNode, GraphView, MigrationState};

const LEGEND: &str = "* applied   o pending   x applied, not in this checkout";

/// Draws the graph newest first, a lane for each branch.
pub(crate) fn text(graph: &GraphView) -> String {
    let mut lanes = Lanes::default();
    let mut lines = Vec::new();
    for node in graph.nodes.iter().rev() {
        let lane = lanes.take(&node.id, &mut lines);
        lines.push(format!(
            "{}  {}",
            lanes.row(lane, mark(node.state)),
            about(node, graph)
        ));
        lanes.continue_with(lane, &node.parents, &mut lines);
    }
    lines.push(String::new());
    lines.push(LEGEND.to_owned());
    lines.join("\n")
}

/// Which migration each lane is waiting for, from left to right.
#[derive(Default)]
struct Lanes(Vec<Option<MigrationId>>);

impl Lanes {
    /// Returns the lane of a migration, and joins all other lanes that wait for it into that one.
    fn take(&mut self, id: &MigrationId, lines: &mut Vec<String>) -> usize {
        let waiting: Vec<usize> = (0..self.0.len())
            .filter(|lane| self.0[*lane].as_ref() == Some(id))
            .collect();
        let Some((lane, others)) = waiting.split_first() else {
            let lane = self.free();
            self.0[lane] = Some(id.clone());
            return lane;
        };
        for other in others {
            self.0[*other] = None;
            lines.push(self.connection(*lane, *other, '/'));
        }
        self.shrink();
        *lane
    }

    /// Lets a lane wait for the first parent, and opens lanes for the others.
    fn continue_with(&mut self, lane: usize, parents: &[MigrationId], lines: &mut Vec<String>) {
        self.0[lane] = parents.first().cloned();
        for parent in parents.iter().skip(1) {
            let known = (0..self.0.len()).find(|other| self.0[*other].as_ref() == Some(parent));
            let other = known.unwrap_or_else(|| self.free());
            let stroke = if lane < other { '\\' } else { '/' };
            lines.push(self.connection(lane.min(other), lane.max(other), stroke));
            self.0[other] = Some(parent.clone());
        }
        self.shrink();
    }

    fn free(&mut self) -> usize {
        match self.0.iter().position(Option::is_none) {
            Some(lane) => lane,
            None => {
                self.0.push(None);
                self.0.len() - 1
            }
        }
    }

    fn shrink(&mut self) {
        while self.0.last().is_some_and(Option::is_none) {
            self.0.pop();
        }
    }

    /// Draws all lanes, with a mark in one of them.
    fn row(&self, marked: usize, mark: char) -> String {
        let lanes = self.0.iter().enumerate().map(|(lane, waiting)| match waiting {
            _ if lane == marked => mark,
            Some(_) => '|',
            None => ' ',
        });
        spaced(lanes)
    }

    /// Draws all lanes, with a line between two of them.
    fn connection(&self, left: usize, right: usize, stroke: char) -> String {
        let mut row: Vec<char> = self.row(left, '|').chars().collect();
        row.resize((right * 2 + 1).max(row.len()), ' ');
        for cell in &mut row[left * 2 + 1..right * 2 - 1] {
            *cell = if *cell == '|' { '+' } else { '-' };
        }
        row[right * 2 - 1] = stroke;
        row.into_iter().collect::<String>().trim_end().to_owned()
    }
}

fn spaced(lanes: impl Iterator<Item = char>) -> String {
    let mut row = String::new();
    for lane in lanes {
        if !row.is_empty() {
            row.push(' ');
        }
        row.push(lane);
    }
    row
}

const fn mark(state: MigrationState) -> char {
    match state {
        MigrationState::Applied => '*',
        MigrationState::Pending => 'o',
        MigrationState::Ahead => 'x',
    }
}

fn about(node: &GraphNode, graph: &GraphView) -> String {
    let mut text = node.name.clone();
    let mut marks = node.labels.clone();
    if graph.heads.contains(&node.id) {
        marks.push("head".to_owned());
    }
    if !marks.is_empty() {
        write!(text, " ({})", marks.join(", ")).ok();
    }
    if !node.depends_on.is_empty() {
        let ids: Vec<_> = node.depends_on.iter().map(MigrationId::as_str).collect();
        write!(text, " depends on {}", ids.join(", ")).ok();
    }
    text
}

/// Draws a Mermaid flowchart.
pub(crate) fn mermaid(graph: &GraphView) -> String {
    let mut text = "flowchart TD\n".to_owned();
    for (number, node) in graph.nodes.iter().enumerate() {
        let name = about(node, graph).replace('"', "#quot;");
        writeln!(text, "  m{number}[\"{name}\"]:::{}", class(node.state)).ok();
    }
    for (from, to, dashed) in edges(graph) {
        writeln!(text, "  m{from} {} m{to}", if dashed { "-.->" } else { "-->" }).ok();
    }
    text.push_str("  classDef applied stroke-width:3px\n");
    text.push_str("  classDef pending stroke-dasharray:4\n");
    text.push_str("  classDef ahead stroke-width:3px,stroke-dasharray:4");
    text
}

/// Draws the graph for Graphviz.
pub(crate) fn dot(graph: &GraphView) -> String {
    let mut text = "digraph migrations {\n  node [shape=box];\n".to_owned();
    for (number, node) in graph.nodes.iter().enumerate() {
        let name = about(node, graph).replace('\\', "\\\\").replace('"', "\\\"");
        let style = match node.state {
            MigrationState::Applied => "bold",
            MigrationState::Pending => "dashed",
            MigrationState::Ahead => "dotted",
        };
        writeln!(text, "  m{number} [label=\"{name}\", style={style}];").ok();
    }
    for (from, to, dashed) in edges(graph) {
        writeln!(
            text,
            "  m{from} -> m{to}{};",
            if dashed { " [style=dashed]" } else { "" }
        )
        .ok();
    }
    text.push('}');
    text
}

const fn class(state: MigrationState) -> &'static str {
    match state {
        MigrationState::Applied => "applied",
        MigrationState::Pending => "pending",
        MigrationState::Ahead => "ahead",
    }
}

/// Returns the edges as numbers of nodes, and whether they are dependencies only.
fn edges(graph: &GraphView) -> Vec<(usize, usize, bool)> {
    let numbers: std::collections::HashMap<_, _> = graph
        .nodes
        .iter()
        .enumerate()
        .map(|(number, node)| (&node.id, number))
        .collect();
    let mut edges = Vec::new();
    for (to, node) in graph.nodes.iter().enumerate() {
        let parents = node.parents.iter().map(|id| (id, false));
        for (id, dashed) in parents.chain(node.depends_on.iter().map(|id| (id, true))) {
            edges.extend(numbers.get(id).map(|from| (*from, to, dashed)));
        }
    }
    edges
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Draws lanes for `(id, parents)`, oldest first.
    fn drawn(nodes: &[(&str, &[&str])]) -> String {
        let mut lanes = Lanes::default();
        let mut lines = Vec::new();
        for (id, parents) in nodes.iter().rev() {
            let parents: Vec<_> = parents.iter().map(|parent| MigrationId::new(*parent)).collect();
            let lane = lanes.take(&MigrationId::new(*id), &mut lines);
            lines.push(format!("{} {id}", lanes.row(lane, '*')));
            lanes.continue_with(lane, &parents, &mut lines);
        }
        lines.join("\n")
    }

    #[test]
    fn a_line_is_one_lane() {
        assert_eq!(drawn(&[("a", &[]), ("b", &["a"])]), "* b\n* a");
    }

    #[test]
    fn a_diamond_opens_and_closes_a_lane() {
        let nodes: [(&str, &[&str]); 4] = [("a", &[]), ("b", &["a"]), ("c", &["a"]), ("d", &["b", "c"])];
        assert_eq!(drawn(&nodes), "* d\n|\\\n| * c\n* | b\n|/\n* a");
    }

    #[test]
    fn two_heads_and_three_branches_keep_their_lanes() {
        let nodes: [(&str, &[&str]); 4] = [("a", &[]), ("b", &["a"]), ("c", &["a"]), ("d", &["a"])];
        assert_eq!(drawn(&nodes), "* d\n| * c\n| | * b\n|/  |\n|--/\n* a");
    }

    #[test]
    fn a_merge_into_a_lane_on_the_left_keeps_its_own() {
        let nodes: [(&str, &[&str]); 4] = [("a", &[]), ("b", &["a"]), ("c", &["b", "a"]), ("d", &["a"])];
        assert_eq!(drawn(&nodes), "* d\n| * c\n|/|\n| * b\n|/\n* a");
    }

    #[test]
    fn bases_that_do_not_belong_together_are_not_joined() {
        assert_eq!(drawn(&[("a", &[]), ("b", &[])]), "* b\n* a");
    }
}
