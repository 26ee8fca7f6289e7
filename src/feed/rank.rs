//! The score of a post for one reader, behind a trait so that another formula is one type.

use async_trait::async_trait;
use fanfare_engines::EngineError;
use fanfare_protocol::Id;

/// Facts about a candidate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// Age of the entry in hours, 0 or more.
    pub age_h: f64,
    /// Likes of the post (of the original, for a bare repost).
    pub likes: u64,
    /// Replies to it.
    pub replies: u64,
    /// The reader's likes, replies and reposts of the author in the last 90 days.
    pub interactions: u64,
    /// Whether it has media.
    pub has_media: bool,
}

/// Scores candidates; a higher score stands further up.
pub trait Ranker: Send + Sync + 'static {
    /// The score; must be a number (not NaN).
    fn score(&self, candidate: &Candidate) -> f64;
}

/// Recency exp(−0.1 h) × 10, engagement ln(1 + likes + 2 × replies) × 3, affinity ln(1 + interactions) × 5, media 2.
#[derive(Debug, Clone, Copy, Default)]
pub struct DefaultRanker;

impl Ranker for DefaultRanker {
    fn score(&self, candidate: &Candidate) -> f64 {
        let recency = (-0.1 * candidate.age_h).exp() * 10.0;
        let engagement = (candidate.likes as f64 + 2.0 * candidate.replies as f64).ln_1p() * 3.0;
        let affinity = (candidate.interactions as f64).ln_1p() * 5.0;
        recency + engagement + affinity + if candidate.has_media { 2.0 } else { 0.0 }
    }
}

/// Likes and replies of a post.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Engagement {
    /// Likes.
    pub likes: u64,
    /// Replies.
    pub replies: u64,
}

/// Facts that ranking asks of the rest of the server.
#[async_trait]
pub trait RankInputs: Send + Sync + 'static {
    /// Likes and replies of `posts`, in the same order; zeros for what is unknown. At most 500 posts.
    async fn engagement(&self, posts: &[Id]) -> Result<Vec<Engagement>, EngineError>;

    /// Numbers of likes, replies and reposts by `reader` of each of `authors` in the last 90 days, in the same order.
    async fn interactions(&self, reader: Id, authors: &[Id]) -> Result<Vec<u64>, EngineError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_formula_is_the_documented_one() {
        let candidate = Candidate { age_h: 10.0, likes: 3, replies: 2, interactions: 4, has_media: true };
        let expected = (-1.0_f64).exp() * 10.0 + 8.0_f64.ln() * 3.0 + 5.0_f64.ln() * 5.0 + 2.0;
        assert!((DefaultRanker.score(&candidate) - expected).abs() < 1e-9);
    }
}
