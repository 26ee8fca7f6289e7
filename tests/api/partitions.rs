//! Data folders and the partitions that they were made with.

use crate::world::World;

#[tokio::test]
async fn a_folder_keeps_the_partitions_that_it_was_made_with_and_says_so() {
    let mut world = World::new().await;
    let ada = world.person("ada").await;
    world.stop().await;
    world.settings.cluster.partitions = 3;
    let refusal = world.refused_start().await;
    for part in ["social has 1 partitions", "3 are asked for", "cluster.partitions"] {
        assert!(refusal.contains(part), "{refusal}");
    }
    world.settings.cluster.partitions = 1;
    world.start().await;
    let again = world.anyone.with_token(&ada.token);
    assert_eq!(again.me().await.unwrap().handle, "ada");
}
