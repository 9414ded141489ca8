//! Listing, one page in memory at a time.

use std::sync::Arc;
use std::vec::IntoIter;

use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::ObjectMeta;
use object_store::list::{PaginatedListOptions, PaginatedListStore as _};
use walkback_core::store::{BlobInfo, check_key};
use walkback_core::{Cx, Result};

use crate::store::{Inner, whole_seconds};

/// Lists the objects whose key starts with `prefix`, in the order of the server, which is that of the keys.
pub(crate) fn list<'a>(cx: &Cx, store: Arc<Inner>, prefix: &str) -> BoxStream<'a, Result<BlobInfo>> {
    if !may_begin_a_key(prefix) {
        return stream::empty().boxed();
    }
    let state = Pages {
        cx: cx.clone(),
        prefix: prefix.to_owned(),
        store,
        page: Vec::new().into_iter(),
        next: Next::First,
        last: None,
    };
    stream::try_unfold(state, |mut pages| async move {
        let found = pages.advance().await?;
        Ok(found.map(|blob| (blob, pages)))
    })
    .into_stream()
    .boxed()
}

fn may_begin_a_key(prefix: &str) -> bool {
    prefix
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte))
}

enum Next {
    First,
    After(String),
    Nothing,
}

struct Pages {
    cx: Cx,
    store: Arc<Inner>,
    prefix: String,
    page: IntoIter<ObjectMeta>,
    next: Next,
    /// The key before, to see that the order holds.
    last: Option<String>,
}

impl Pages {
    async fn advance(&mut self) -> Result<Option<BlobInfo>> {
        loop {
            let Some(object) = self.page.next() else {
                if !self.turn().await? {
                    return Ok(None);
                }
                continue;
            };
            // What has a name that no key can have was not put here by a store.
            let Some(key) = object.location.as_ref().strip_prefix(&self.store.base) else {
                continue;
            };
            if !key.starts_with(&self.prefix) || check_key(key).is_err() {
                continue;
            }
            if self.last.as_deref().is_some_and(|last| last >= key) {
                return Err(self.store.place.nonsense("lists keys out of their order"));
            }
            self.last = Some(key.to_owned());
            return Ok(Some(BlobInfo::new(
                key.to_owned(),
                object.size,
                whole_seconds(object.last_modified),
            )));
        }
    }

    /// Fetches the next page, if there is one.
    async fn turn(&mut self) -> Result<bool> {
        let page_token = match std::mem::replace(&mut self.next, Next::Nothing) {
            Next::First => None,
            Next::After(token) => Some(token),
            Next::Nothing => return Ok(false),
        };
        let options = PaginatedListOptions {
            page_token,
            ..PaginatedListOptions::default()
        };
        let prefix = format!("{}{}", self.store.base, self.prefix);
        let wanted = Some(prefix.as_str()).filter(|prefix| !prefix.is_empty());
        let request = self.store.s3.list_paginated(wanted, options);
        let found = self
            .store
            .run(&self.cx, || format!("list `{}`", self.prefix), request)
            .await?;
        self.page = found.result.objects.into_iter();
        self.next = found.page_token.map_or(Next::Nothing, Next::After);
        Ok(true)
    }
}
