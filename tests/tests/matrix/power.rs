//! The power fails in the middle of a run: what was not made durable is gone.
//!
//! The system calls of a run are traced, and the files are built again as a disk could hold them after each of the calls: with
//! all that was synchronized, and nothing else; or with all names and, of what was written, only what was synchronized.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rand::seq::IndexedRandom as _;
use walkback_tests::{Backend, Output, Sandbox, report};

use crate::kinds::{self, Kind, Seen};
use crate::{everywhere, settle, table};

/// What is under way when the power fails.
pub(crate) const OUT: &[(&str, &Kind)] = &[
    ("`up`, power cut", &kinds::UP),
    ("`up` outside a transaction, power cut", &kinds::LOOSE_UP),
    ("`rollback --type surgical`, power cut", &kinds::SURGICAL),
    ("`rollback --type full`, power cut", &kinds::FULL),
    ("`restore`, power cut", &kinds::RESTORE),
    ("`backup create`, power cut", &kinds::BACKUP),
    ("`backup prune`, power cut", &kinds::PRUNE),
];

/// The calls that change files, or make what was changed durable.
const CALLS: &str = "openat,write,writev,pwrite64,pwritev,pwritev2,ftruncate,fallocate,copy_file_range,sendfile,fsync,fdatasync,\
                     rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,link,linkat";

/// What of a disk survives.
#[derive(Debug, Clone, Copy)]
enum Survives {
    /// What was synchronized: contents, and names by their folder.
    Synchronized,
    /// All names; of contents what was synchronized.
    Names,
}

fn samples() -> usize {
    if everywhere() { usize::MAX } else { 5 }
}

pub(crate) fn a_power_cut_is_as_a_kill(backend: Backend) {
    if !can_trace() {
        report("ignored: nothing traces system calls here: `strace` is not there, or may not");
        return;
    }
    for &(name, kind) in OUT {
        let twin = (kind.setup)(backend);
        let before = Seen::of(&twin);
        let mut disk = Disk::of(&twin.path("."));
        let (output, calls) = traced(&twin, kind);
        assert_eq!(output.code, Some(0), "{}", output.transcript());
        let after = Seen::of(&twin);
        let mut states = Vec::new();
        for call in &calls {
            if disk.change(call) {
                for survives in [Survives::Synchronized, Survives::Names] {
                    states.push((call.text.clone(), survives, disk.left(survives)));
                }
            }
        }
        assert!(states.len() > 10, "{name}: hardly a call is traced");
        // All names, and every content: what is there now. If the model has that wrong, it has the rest wrong too.
        disk.assert_is(&twin.path("."), name);
        let chosen: Vec<_> = match samples() {
            usize::MAX => states.iter().collect(),
            count => states.choose_multiple(&mut rand::rng(), count).collect(),
        };
        for (call, survives, left) in chosen {
            let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
            put(&sandbox.path("."), left);
            table::killed(name, backend);
            let how = format!("power cut after `{call}`, {survives:?}");
            settle(&sandbox, kind, (&before, &after), &output, &how);
            table::recovered(name, backend);
        }
    }
}

fn can_trace() -> bool {
    let mut trial = Command::new("strace");
    trial
        .args(["-f", "-o", "/dev/null", "true"])
        .stdout(Stdio::null());
    trial
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs the command, and returns the calls that it made.
fn traced(sandbox: &Sandbox, kind: &Kind) -> (Output, Vec<Call>) {
    let words = kind.command(sandbox);
    let plain = sandbox.command(&words);
    let log = sandbox
        .path("..")
        .join(format!("walkback-calls-{}", rand::random::<u64>()));
    let mut command = Command::new("strace");
    command
        .args([
            "-f",
            "-y",
            "-xx",
            "-s",
            "16777216",
            "-e",
            &format!("trace={CALLS}"),
            "-o",
        ])
        .arg(&log)
        .arg(plain.get_program())
        .args(plain.get_args())
        .env_clear();
    for (name, value) in plain.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command.current_dir(plain.get_current_dir().expect("it has a folder"));
    let output = command.output().expect("strace starts");
    let text = std::fs::read_to_string(&log).expect("it writes what it sees");
    std::fs::remove_file(&log).expect("it is there");
    (
        Output::new(&words, &output, &sandbox.path(".")),
        read_calls(&text),
    )
}

/// A call that has succeeded.
#[derive(Debug)]
struct Call {
    name: String,
    arguments: String,
    result: String,
    /// For messages.
    text: String,
}

fn read_calls(text: &str) -> Vec<Call> {
    let mut begun: BTreeMap<&str, String> = BTreeMap::new();
    let mut calls = Vec::new();
    for line in text.lines() {
        let Some((thread, rest)) = line.split_once(char::is_whitespace) else {
            continue;
        };
        let rest = rest.trim_start();
        let whole = if let Some(beginning) = rest.strip_suffix("<unfinished ...>") {
            begun.insert(thread, beginning.to_owned());
            continue;
        } else if rest.starts_with("<... ") {
            let (_, end) = rest.split_once(" resumed>").expect("a call is resumed");
            format!("{}{end}", begun.remove(thread).expect("it was begun"))
        } else {
            rest.to_owned()
        };
        let (Some((name, _)), Some((call, result))) = (whole.split_once('('), whole.rsplit_once(" = "))
        else {
            continue;
        };
        if result.starts_with('-') || result.starts_with('?') {
            continue;
        }
        let arguments = call[name.len() + 1..].trim_end().trim_end_matches(')').to_owned();
        let shown: String = arguments.chars().take(300).collect();
        calls.push(Call {
            name: name.to_owned(),
            text: format!("{name} {}", unhexed_words(&shown)),
            arguments,
            result: result.to_owned(),
        });
    }
    calls
}

/// Makes `\x2f\x74` readable, for messages.
fn unhexed_words(text: &str) -> String {
    String::from_utf8_lossy(&bytes_of(text)).into_owned()
}

/// Returns the bytes that a text stands for.
fn bytes_of(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() / 4);
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(1..3).filter(|_| first == b'\\' && after[0] == b'x');
        let value = digits
            .and_then(|digits| str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match value {
            Some(value) => {
                bytes.push(value);
                rest = &after[3..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    bytes
}

impl Call {
    /// Returns the quoted arguments.
    fn texts(&self) -> Vec<Vec<u8>> {
        let quoted = self.arguments.split('"').skip(1).step_by(2);
        quoted.map(bytes_of).collect()
    }

    fn path(&self, at: usize, root: &Path) -> PathBuf {
        let text = self.texts().swap_remove(at);
        root.join(String::from_utf8_lossy(&text).as_ref())
    }

    /// Returns the descriptor that is the first argument, and its path.
    fn descriptor(&self) -> Option<(u32, PathBuf)> {
        descriptor(&self.arguments)
    }

    /// Returns a number among the arguments, from the end.
    fn number(&self, from_end: usize) -> usize {
        let last = self.arguments.rsplit(", ").nth(from_end).expect("an argument");
        last.trim().parse().expect("a number")
    }
}

/// Reads `5<path>`.
fn descriptor(text: &str) -> Option<(u32, PathBuf)> {
    let (number, rest) = text.split_once('<')?;
    let (path, _) = rest.split_once('>')?;
    let path = String::from_utf8_lossy(&bytes_of(path)).into_owned();
    Some((number.parse().ok()?, PathBuf::from(path)))
}

/// A file, by its content: in memory, and on the disk.
#[derive(Debug, Clone, Default)]
struct Content {
    now: Vec<u8>,
    durable: Vec<u8>,
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Folder,
    File(usize),
}

/// What is left of a disk: folders without a content.
type Left = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// The files below a folder, as programs see them and as the disk holds them.
#[derive(Debug)]
struct Disk {
    root: PathBuf,
    contents: Vec<Content>,
    names: BTreeMap<PathBuf, Node>,
    durable: BTreeMap<PathBuf, Node>,
    /// The files of descriptors, and where the next write goes.
    open: BTreeMap<u32, (usize, usize)>,
}

impl Disk {
    fn of(root: &Path) -> Self {
        let root = root.canonicalize().expect("it is there");
        let mut disk = Self {
            root: root.clone(),
            contents: Vec::new(),
            names: BTreeMap::new(),
            durable: BTreeMap::new(),
            open: BTreeMap::new(),
        };
        for (path, content) in tree(&root) {
            let node = match content {
                None => Node::Folder,
                Some(bytes) => {
                    disk.contents.push(Content {
                        now: bytes.clone(),
                        durable: bytes,
                    });
                    Node::File(disk.contents.len() - 1)
                }
            };
            disk.names.insert(path, node);
        }
        disk.durable.clone_from(&disk.names);
        disk
    }

    /// Takes up a call, and says whether the disk may hold something else now.
    fn change(&mut self, call: &Call) -> bool {
        match call.name.as_str() {
            "openat" => return self.opened(call),
            "write" | "pwrite64" => self.written(call),
            "ftruncate" => {
                if let Some(file) = self.file_of(call) {
                    self.contents[file].now.resize(call.number(0), 0);
                }
            }
            "fsync" | "fdatasync" => return self.synchronized(call),
            "rename" => {
                let (from, to) = (call.path(0, &self.root), call.path(1, &self.root));
                if let Some(node) = self.names.remove(&from) {
                    self.names.insert(to, node);
                    return true;
                }
            }
            "unlink" | "rmdir" => return self.names.remove(&call.path(0, &self.root)).is_some(),
            "unlinkat" => {
                let folder = descriptor(&call.arguments).map_or(self.root.clone(), |(_, folder)| folder);
                return self.names.remove(&call.path(0, &folder)).is_some();
            }
            "mkdir" => {
                let path = call.path(0, &self.root);
                if path.starts_with(&self.root) {
                    self.names.insert(path, Node::Folder);
                    return true;
                }
            }
            other => assert!(
                !call.text.contains(&*self.root.to_string_lossy()),
                "the model knows nothing of `{other}`: {}",
                call.text
            ),
        }
        false
    }

    fn opened(&mut self, call: &Call) -> bool {
        let path = call.path(0, &self.root);
        let Some((number, _)) = descriptor(&call.result) else {
            return false;
        };
        self.open.remove(&number);
        if !path.starts_with(&self.root) {
            return false;
        }
        let is_new = call.arguments.contains("O_CREAT") && !self.names.contains_key(&path);
        if is_new {
            self.contents.push(Content::default());
            self.names
                .insert(path.clone(), Node::File(self.contents.len() - 1));
        }
        if let Some(Node::File(file)) = self.names.get(&path) {
            if call.arguments.contains("O_TRUNC") {
                self.contents[*file].now.clear();
            }
            let end = call.arguments.contains("O_APPEND");
            let at = if end { self.contents[*file].now.len() } else { 0 };
            self.open.insert(number, (*file, at));
        }
        is_new
    }

    /// Returns the file that the first argument of a call stands for.
    fn file_of(&self, call: &Call) -> Option<usize> {
        let (number, path) = call.descriptor()?;
        match (self.open.get(&number), self.names.get(&path)) {
            (Some((file, _)), _) => Some(*file),
            (None, Some(Node::File(file))) => Some(*file),
            _ => None,
        }
    }

    fn written(&mut self, call: &Call) {
        let Some(file) = self.file_of(call) else { return };
        let (number, _) = call.descriptor().expect("it has one");
        let bytes = call.texts().swap_remove(0);
        let offset = match call.name.as_str() {
            "pwrite64" => call.number(0),
            _ => self.open.get(&number).map_or(0, |(_, at)| *at),
        };
        let content = &mut self.contents[file].now;
        let end = offset + bytes.len();
        if content.len() < end {
            content.resize(end, 0);
        }
        content[offset..end].copy_from_slice(&bytes);
        if call.name == "write" {
            self.open.insert(number, (file, end));
        }
    }

    fn synchronized(&mut self, call: &Call) -> bool {
        let Some((_, path)) = call.descriptor() else {
            return false;
        };
        if path != self.root && self.names.get(&path) != Some(&Node::Folder) {
            let Some(file) = self.file_of(call) else {
                return false;
            };
            let content = &mut self.contents[file];
            content.durable.clone_from(&content.now);
            return true;
        }
        let is_in = |name: &Path| name.parent() == Some(&path);
        self.durable
            .retain(|name, node| !is_in(name) || self.names.get(name) == Some(node));
        let entries = self.names.iter().filter(|(name, _)| is_in(name));
        self.durable
            .extend(entries.map(|(name, node)| (name.clone(), *node)));
        true
    }

    /// Returns what the disk holds.
    fn left(&self, survives: Survives) -> Left {
        let names = match survives {
            Survives::Synchronized => &self.durable,
            Survives::Names => &self.names,
        };
        let is_reached = |name: &Path| {
            let above = name.ancestors().skip(1).take_while(|folder| *folder != self.root);
            above
                .into_iter()
                .all(|folder| names.get(folder) == Some(&Node::Folder))
        };
        let reached = names.iter().filter(|(name, _)| is_reached(name));
        let left = reached.map(|(name, node)| {
            let content = match node {
                Node::Folder => None,
                Node::File(file) => Some(self.contents[*file].durable.clone()),
            };
            (self.relative(name), content)
        });
        left.collect()
    }

    fn relative(&self, name: &Path) -> PathBuf {
        name.strip_prefix(&self.root).expect("it is below").to_owned()
    }

    /// Checks that the model has followed what was done.
    fn assert_is(&self, root: &Path, what: &str) {
        let root = root.canonicalize().expect("it is there");
        let there = tree(&root);
        let of_model: Vec<_> = self.names.keys().collect();
        assert_eq!(of_model, there.keys().collect::<Vec<_>>(), "{what}: names");
        for (name, content) in there {
            if let (Some(content), Some(Node::File(file))) = (content, self.names.get(&name)) {
                assert!(
                    self.contents[*file].now == content || name.to_string_lossy().contains("-walkback-lock"),
                    "{what}: the model has another content of `{}`",
                    name.display()
                );
            }
        }
    }
}

/// Returns all that is below a folder.
fn tree(root: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut all = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path.clone());
                all.insert(path, None);
            } else {
                let bytes = std::fs::read(&path).expect("a file");
                all.insert(path, Some(bytes));
            }
        }
    }
    all
}

/// Makes a folder hold this and nothing else.
fn put(root: &Path, left: &Left) {
    for entry in std::fs::read_dir(root).expect("a folder") {
        let path = entry.expect("an entry").path();
        let removed = if path.is_dir() {
            std::fs::remove_dir_all(&path)
        } else {
            std::fs::remove_file(&path)
        };
        removed.expect("it can be removed");
    }
    // Folders come before what is in them.
    for (name, content) in left {
        let path = root.join(name);
        match content {
            None => std::fs::create_dir_all(&path).expect("a folder"),
            Some(bytes) => std::fs::write(&path, bytes).expect("a file"),
        }
    }
}
