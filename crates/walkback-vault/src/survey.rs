//! Looking at all points and all objects at once: what each point would give back, and which have gaps.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use futures::TryStreamExt as _;
use walkback_core::{Cx, ErrorKind, Result};

use crate::list::PointFile;
use crate::vault::Vault;
use crate::{Manifest, PointInfo, error};

/// All points of a vault, and the objects they share.
#[derive(Debug)]
#[non_exhaustive]
pub struct Survey {
    /// The points, newest first.
    pub points: Vec<SurveyedPoint>,
    /// The bytes of each object, by its place in the lists of the points.
    sizes: Vec<u64>,
}

/// A point, with what no manifest says of itself.
#[derive(Debug)]
#[non_exhaustive]
pub struct SurveyedPoint {
    /// Its id.
    pub id: String,
    /// When its manifest was written, by the clock of the store.
    pub modified: DateTime<Utc>,
    /// What it is, or why it cannot be used.
    pub info: Result<PointInfo>,
    /// Whether it holds the rows of every table that was there.
    pub is_complete: bool,
    /// How many of its chunks are not in the store, or empty.
    pub missing: u64,
    objects: Vec<u32>,
}

impl SurveyedPoint {
    /// Returns when the point was made; for one that cannot be read, when its manifest was written.
    #[must_use]
    pub fn created_at(&self) -> DateTime<Utc> {
        self.info.as_ref().map_or(self.modified, |info| info.created_at)
    }

    /// Returns whether its manifest can be read and all its chunks are there. Their content is not looked at.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.info.is_ok() && self.missing == 0
    }
}

impl Survey {
    /// Returns how many bytes would be given back if these points went: what no other point names.
    #[must_use]
    pub fn given_back_without(&self, goes: impl Fn(&SurveyedPoint) -> bool) -> u64 {
        let mut bytes = vec![0; self.sizes.len()];
        let (going, staying): (Vec<_>, Vec<_>) = self.points.iter().partition(|point| goes(point));
        for &object in going.iter().flat_map(|point| &point.objects) {
            bytes[object as usize] = self.sizes[object as usize];
        }
        for &object in staying.iter().flat_map(|point| &point.objects) {
            bytes[object as usize] = 0;
        }
        bytes.iter().sum()
    }
}

impl Vault {
    /// Looks at every manifest and at the name and size of every object. No chunk is read.
    ///
    /// # Errors
    /// Fails if the store does. A manifest that cannot be read is in the answer, with the reason.
    pub async fn survey(&self, cx: &Cx) -> Result<Survey> {
        // Points first: an object that a point names was there before its manifest.
        let files = self.point_files(cx).await?;
        let (places, sizes) = self.objects(cx).await?;
        let mut points = Vec::with_capacity(files.len());
        for file in files {
            cx.check()?;
            points.extend(self.look_at_point(cx, file, &places).await?);
        }
        points.sort_by_key(|point| std::cmp::Reverse((point.created_at(), point.id.clone())));
        Ok(Survey { points, sizes })
    }

    async fn objects(&self, cx: &Cx) -> Result<(HashMap<String, u32>, Vec<u64>)> {
        let prefix = self.key("objects/");
        let mut blobs = self.store.list(cx, &prefix).await?;
        let (mut places, mut sizes) = (HashMap::new(), Vec::new());
        while let Some(blob) = blobs.try_next().await? {
            let name = blob.key.rsplit('/').next().unwrap_or_default();
            let is_object = crate::manifest::is_hash(name) && self.object_key(name) == blob.key;
            if let (true, Ok(place)) = (is_object && blob.bytes > 0, u32::try_from(sizes.len())) {
                places.insert(name.to_owned(), place);
                sizes.push(blob.bytes);
            }
        }
        Ok((places, sizes))
    }

    async fn look_at_point(
        &self,
        cx: &Cx,
        file: PointFile,
        places: &HashMap<String, u32>,
    ) -> Result<Option<SurveyedPoint>> {
        let manifest = if file.is_manifest {
            self.manifest(cx, &file.id).await
        } else {
            Err(error::manifest(&file.id, "its name does not end in `.json`"))
        };
        let mut point = SurveyedPoint {
            id: file.id,
            modified: file.modified,
            info: Err(walkback_core::Error::internal("not looked at yet")),
            is_complete: false,
            missing: 0,
            objects: Vec::new(),
        };
        match manifest {
            Ok(manifest) => point.fill(manifest, places),
            // Removed since the store listed it.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) if error::is_about_a_point(&error) => point.info = Err(error),
            Err(error) => return Err(error),
        }
        Ok(Some(point))
    }
}

impl SurveyedPoint {
    fn fill(&mut self, manifest: Manifest, places: &HashMap<String, u32>) {
        let mut tables = manifest.schema.tables.iter();
        self.is_complete = tables.all(|table| manifest.table(&table.name).is_some());
        for chunk in manifest.tables.iter().flat_map(|entry| &entry.chunks) {
            match places.get(&chunk.hash) {
                Some(place) => self.objects.push(*place),
                None => self.missing += 1,
            }
        }
        self.objects.sort_unstable();
        self.objects.dedup();
        self.info = Ok(PointInfo::from(manifest));
    }
}
