import pytest

from spaces.bucket import Bucket
from spaces.refusal import Refusal


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("s3://phases", Bucket("phases")),
        ("s3://phases/", Bucket("phases")),
        ("s3://my.phases-2/team/xlm-r", Bucket("my.phases-2", "team/xlm-r")),
    ],
)
def test_an_address_is_read(address: str, expected: Bucket) -> None:
    assert Bucket.parse(address, setting="x") == expected
    assert str(expected) == address.rstrip("/")


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("/shared/phases", "expected s3://BUCKET"),
        ("gs://phases", "expected s3://BUCKET"),
        ("S3://phases", "expected s3://BUCKET"),
        ("s3://", "names the bucket ''"),
        ("s3://My_Phases", "names the bucket 'My_Phases'"),
        ("s3://phases//team", "the prefix '/team'"),
        ("s3://phases/../team", "the prefix '../team'"),
        ("s3://phases/a b", "the prefix 'a b'"),
        ("s3://key:hunter2@phases", "AWS_ACCESS_KEY_ID"),
        ("s3://phases?secret=hunter2", "AWS_ACCESS_KEY_ID"),
    ],
)
def test_what_is_no_address_is_refused_in_a_line(address: str, reason: str) -> None:
    with pytest.raises(Refusal) as refused:
        Bucket.parse(address, setting="resources.phase_store")
    message = str(refused.value)
    assert message.startswith("resources.phase_store")
    assert reason in message
    assert "hunter2" not in message
    assert "\n" not in message
