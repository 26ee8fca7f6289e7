"""The client that openapi-python-client made from the server's description, used as an app would."""

import base64
import io
import os

from fanfare_client import AuthenticatedClient, Client
from fanfare_client.api.accounts import accounts_log_in, accounts_register
from fanfare_client.api.feed import feed_read
from fanfare_client.api.media import media_upload
from fanfare_client.api.people import people_follow, people_get_me
from fanfare_client.api.posts import posts_delete, posts_get, posts_publish
from fanfare_client.models import Code, Media, NewMedia, NewPost, NewSession, NewUser, PagePost, Post, Problem, Session
from fanfare_client.types import UNSET, File, Unset

API = os.environ["API"]
PASSWORD = "correct horse battery"
GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")


def code(answer: object) -> Code:
    """The code of a refusal."""
    assert isinstance(answer, Problem), answer
    return answer.code


def main() -> None:
    # Every status that the document does not name is an exception.
    anyone = Client(base_url=API, raise_on_unexpected_status=True)

    # A person, and who is refused.
    session = accounts_register.sync(client=anyone, body=NewUser(handle="snake", password=PASSWORD))
    assert isinstance(session, Session), session
    me = AuthenticatedClient(base_url=API, token=session.token, raise_on_unexpected_status=True)
    taken = accounts_register.sync(client=anyone, body=NewUser(handle="snake", password=PASSWORD))
    assert code(taken) == Code.CONFLICT
    wrong = accounts_log_in.sync_detailed(client=anyone, body=NewSession(handle="snake", password="another"))
    assert wrong.status_code == 401
    invalid = accounts_register.sync(client=anyone, body=NewUser(handle="?", password="short"))
    assert isinstance(invalid, Problem) and not isinstance(invalid.errors, Unset)
    assert [error.field for error in invalid.errors] == ["handle", "password"]

    # Posts, once per key.
    first = posts_publish.sync(client=me, body=NewPost(text="Hello"), idempotency_key="one")
    again = posts_publish.sync_detailed(client=me, body=NewPost(text="Hello"), idempotency_key="one")
    assert isinstance(first, Post) and isinstance(again.parsed, Post) and again.parsed.id == first.id
    assert again.headers["idempotency-replayed"] == "true"
    other = posts_publish.sync(client=me, body=NewPost(text="Other words"), idempotency_key="one")
    assert code(other) == Code.VALIDATION_FAILED

    # A picture.
    file = File(payload=io.BytesIO(GIF), file_name="pixel.gif", mime_type="image/gif")
    media = media_upload.sync(client=me, body=NewMedia(file=file, alt="One pixel"))
    assert isinstance(media, Media), media
    shown = posts_publish.sync(client=me, body=NewPost(text="Look", media_ids=[media.id]))
    assert isinstance(shown, Post) and shown.media[0].alt == "One pixel"

    # The feed, page by page.
    for turn in range(5):
        assert isinstance(posts_publish.sync(client=me, body=NewPost(text=f"Post {turn}")), Post)
    seen: list[Post] = []
    cursor: str | None | Unset = UNSET
    while cursor is not None:
        page = feed_read.sync(client=me, limit=2, cursor=cursor)
        assert isinstance(page, PagePost), page
        seen += page.items
        cursor = page.next_cursor or None
    assert len({post.id for post in seen}) == len(seen) == 7
    assert code(feed_read.sync(client=me, cursor="nonsense")) == Code.BAD_REQUEST

    # Nothing to say, and nothing there.
    assert posts_delete.sync_detailed(client=me, id=shown.id).status_code == 204
    assert code(posts_get.sync(client=me, id=shown.id)) == Code.GONE
    assert code(people_follow.sync(client=me, user="@nobody")) == Code.NOT_FOUND
    stranger = AuthenticatedClient(base_url=API, token="ff_wrong", raise_on_unexpected_status=True)
    assert code(people_get_me.sync(client=stranger)) == Code.UNAUTHENTICATED
    print("the Python client: all as described")


main()
