"""Where the example's service finds its database and its secrets, and what it refuses."""

from pathlib import Path

import pytest

from project_ai import settings
from project_ai.problem import ProblemError


def test_the_password_comes_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("p@ss/word\n")
    url = settings.database_url(
        {"DATABASE_URL": "postgresql://me@db:5432/shop", "DATABASE_PASSWORD_FILE": str(tmp_path / "password")}
    )
    assert (url.drivername, url.password, url.host) == ("postgresql+psycopg", "p@ss/word", "db")
    assert "p@ss" not in str(url)


def test_the_address_may_stand_in_a_file_too(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("sqlite:////var/lib/app.db")
    found = settings.database_url({"DATABASE_URL_FILE": str(tmp_path / "url")})
    assert settings.sqlite_file(found) == Path("/var/lib/app.db")


def test_without_settings_the_database_is_a_file_here() -> None:
    assert settings.sqlite_file(settings.database_url({})) == Path("data/project_ai.db")


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"DATABASE_URL": "postgresql://me:secret@db/shop"}, "DATABASE_PASSWORD_FILE"),
        ({"DATABASE_URL": "mysql://me@db/shop"}, "postgresql://"),
        ({"DATABASE_URL": "shop.db"}, "sqlite:////"),
        ({"DATABASE_URL": "sqlite://"}, "sqlite:////"),
        ({"DATABASE_URL": "postgresql://me@db/x", "DATABASE_PASSWORD_FILE": "/none"}, "Mount the file"),
        ({"DATABASE_URL_FILE": "/dev/null"}, "Put the secret into it"),
    ],
)
def test_a_setting_that_will_not_do_is_refused_and_its_secret_not_repeated(
    variables: dict[str, str], told: str
) -> None:
    with pytest.raises(ProblemError) as refused:
        settings.database_url(variables)
    assert told in refused.value.remedy
    assert "secret@" not in f"{refused.value}{refused.value.remedy}"


def test_keys_in_the_environment_are_noticed() -> None:
    assert settings.keys_in_environment({"OPENAI_API_KEY": "sk-1", "HOME": "/"}) == ["OPENAI_API_KEY"]
