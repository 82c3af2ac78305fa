"""The output: the same document whole or in pieces, and never a file lost or half replaced."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

import longwriter_edge
from longwriter_edge.errors import OutputError
from longwriter_edge.output import DocumentOutput, render_markdown
from longwriter_edge.output.markdown import Markdown

LIMIT_SECONDS = 60


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rome.md"


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "rome.md.part"


def write_rome(output: DocumentOutput) -> None:
    output.begin("Rome")
    output.begin_section("Rise")
    output.write("It began")
    output.write(" with wolves.\n")


ROME = "# Rome\n\n## Rise\n\nIt began with wolves.\n"


class TestMarkdown:
    def test_blank_lines_stand_between_all_parts_and_one_newline_ends_the_document(self) -> None:
        sections = [("Rise", "\n\nOne.\n\nTwo.\n\n\n"), ("Fall", "　　三。 ")]
        assert render_markdown("Rome", sections) == (
            "# Rome\n\n## Rise\n\nOne.\n\nTwo.\n\n## Fall\n\n　　三。\n"
        )

    def test_what_is_empty_is_left_out(self) -> None:
        assert render_markdown("", [("", "Text."), ("Nothing", " \n"), ("Last", "End.")]) == (
            "Text.\n\n## Last\n\nEnd.\n"
        )
        assert render_markdown("", []) == ""

    def test_a_heading_stays_on_one_line(self) -> None:
        assert render_markdown("A\n# B", [("C\r\n\tD", "x")]) == "# A # B\n\n## C D\n\nx\n"

    def test_lines_end_with_newlines_only(self) -> None:
        assert render_markdown("", [("", "a\r\nb\rc")]) == "a\nb\nc\n"

    @given(
        title=st.text(alphabet="ab #\n", max_size=6),
        sections=st.lists(
            st.tuples(
                st.text(alphabet="xy \n", max_size=4),
                st.lists(st.text(alphabet="w.　 \n\r\t", max_size=5), max_size=6),
            ),
            max_size=4,
        ),
    )
    def test_pieces_give_the_same_document_as_the_whole(
        self, title: str, sections: list[tuple[str, list[str]]]
    ) -> None:
        markdown = Markdown()
        pieces = [markdown.title(title)]
        for heading, texts in sections:
            markdown.section(heading)
            pieces.extend(markdown.text(text) for text in texts)
        pieces.append(markdown.end())

        whole = render_markdown(title, [(heading, "".join(texts)) for heading, texts in sections])
        assert "".join(pieces) == whole
        assert "\r" not in whole


class TestFile:
    def test_the_document_grows_in_the_part_and_gets_its_name_at_the_end(
        self, path: Path, part: Path
    ) -> None:
        with DocumentOutput.to_file(path) as output:
            write_rome(output)
            assert part.read_bytes().decode() == ROME.rstrip("\n")
            assert not path.exists()
            assert output.commit() == str(path.resolve())
        assert path.read_bytes().decode() == ROME
        assert list(path.parent.iterdir()) == [path]

    def test_left_without_a_commit_the_part_stays(self, path: Path, part: Path) -> None:
        with DocumentOutput.to_file(path) as output:
            write_rome(output)
        assert list(path.parent.iterdir()) == [part]

    def test_a_run_that_goes_on_replaces_the_part_with_the_text_of_the_store(
        self, path: Path, part: Path
    ) -> None:
        part.write_text("# Rome\n\nhalf a wo", encoding="utf-8")
        with DocumentOutput.to_file(path, resumed=True) as output:
            output.begin("Rome", [("Rise", "It began")])
            assert part.read_text(encoding="utf-8") == "# Rome\n\n## Rise\n\nIt began"
            output.write(" with wolves.")
            output.begin_section("Fall")
            output.write("It ended.")
            output.commit()
        assert path.read_text(encoding="utf-8") == (
            "# Rome\n\n## Rise\n\nIt began with wolves.\n\n## Fall\n\nIt ended.\n"
        )

    def test_an_existing_file_is_replaced_only_with_force_and_only_at_the_end(self, path: Path) -> None:
        path.write_text("precious", encoding="utf-8")
        with pytest.raises(OutputError, match="exists already") as caught:
            DocumentOutput.to_file(path)
        assert "--force" in str(caught.value.hint)
        with DocumentOutput.to_file(path, force=True) as output:
            write_rome(output)
            assert path.read_text(encoding="utf-8") == "precious"
            output.commit()
        assert path.read_text(encoding="utf-8") == ROME

    def test_a_file_that_appears_meanwhile_is_left_alone(self, path: Path, part: Path) -> None:
        with DocumentOutput.to_file(path) as output:
            write_rome(output)
            path.write_text("precious", encoding="utf-8")
            with pytest.raises(OutputError, match="appeared while the document was written"):
                output.commit()
        assert path.read_text(encoding="utf-8") == "precious"
        assert part.read_text(encoding="utf-8") == ROME

    def test_a_new_run_leaves_the_part_of_another_alone(self, path: Path, part: Path) -> None:
        part.write_text("an unfinished document", encoding="utf-8")
        with pytest.raises(OutputError, match=r"rome\.md\.part exists already"):
            DocumentOutput.to_file(path)
        assert part.read_text(encoding="utf-8") == "an unfinished document"
        with DocumentOutput.to_file(path, force=True) as output:
            write_rome(output)
            output.commit()

    @pytest.mark.parametrize("resumed", [False, True])
    def test_a_part_that_is_being_written_is_refused_even_with_force(self, path: Path, resumed: bool) -> None:
        with DocumentOutput.to_file(path) as output:
            output.begin("Rome")
            with pytest.raises(OutputError, match="another run is writing"):
                DocumentOutput.to_file(path, force=True, resumed=resumed)
            write_rome(output)
            output.commit()
        assert path.read_text(encoding="utf-8") == ROME

    def test_the_part_of_a_killed_process_can_be_taken_over(self, path: Path, part: Path) -> None:
        script = (
            "import sys; from pathlib import Path; from longwriter_edge.output import DocumentOutput\n"
            "output = DocumentOutput.to_file(Path(sys.argv[1])); output.begin('Rome')\n"
            "print('ready', flush=True); sys.stdin.read()\n"
        )
        with subprocess.Popen(
            [sys.executable, "-c", script, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(longwriter_edge.__path__[0]).parent)},
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            with pytest.raises(OutputError, match="another run is writing"):
                DocumentOutput.to_file(path, resumed=True)
            process.kill()
            process.wait(LIMIT_SECONDS)
        assert part.read_text(encoding="utf-8") == "# Rome"
        with DocumentOutput.to_file(path, resumed=True) as output:
            write_rome(output)
            output.commit()
        assert list(path.parent.iterdir()) == [path]

    def test_a_link_keeps_pointing_to_the_file(self, path: Path) -> None:
        link = path.with_name("link.md")
        try:
            link.symlink_to(path)
        except OSError:
            pytest.skip("this account may not create symbolic links")
        with DocumentOutput.to_file(link) as output:
            write_rome(output)
            output.commit()
        assert link.is_symlink()
        assert path.read_text(encoding="utf-8") == ROME

    def test_what_cannot_be_written_is_refused_before_the_run(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        (tmp_path / "taken.part").mkdir()
        for target, reason in (
            (tmp_path, "is a directory"),
            (tmp_path / "missing" / "x.md", "does not exist"),
            (tmp_path / "file" / "x.md", "not a directory"),
            (tmp_path / "taken", "in the way"),
            (tmp_path / ("x" * 300), "nothing can be written"),
        ):
            with pytest.raises(OutputError, match=reason):
                DocumentOutput.to_file(target, force=True)

    def test_characters_that_are_not_unicode_do_not_stop_the_document(self, path: Path) -> None:
        with DocumentOutput.to_file(path) as output:
            output.begin("Rome \udcff")
            output.commit()
        assert path.read_text(encoding="utf-8") == "# Rome ?\n"

    def test_a_full_disk_is_named_with_the_way_on(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(descriptor: int) -> NoReturn:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with DocumentOutput.to_file(path) as output:
            write_rome(output)
            with pytest.raises(OutputError, match="the disk is full") as caught:
                output.commit()
        assert "resume" in str(caught.value.hint)
        assert not path.exists()

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
    def test_a_stream_on_a_full_disk_is_named(self) -> None:
        with open("/dev/full", "w", encoding="utf-8") as stream:  # noqa: PTH123
            output = DocumentOutput.to_stream(stream)
            with pytest.raises(OutputError, match="the disk is full"):
                output.begin("Rome")
            # What is left in the buffer would fail again when the stream is closed.
            with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
                os.dup2(nowhere.fileno(), stream.fileno())


class TestStream:
    def test_a_stream_gets_the_same_document(self) -> None:
        stream = io.StringIO()
        with DocumentOutput.to_stream(stream) as output:
            write_rome(output)
            assert output.commit() is None
        assert stream.getvalue() == ROME

    @pytest.mark.parametrize(
        ("encoding", "expected"), [("ascii", "# R?me ??"), ("cp1252", "# Röme ??"), ("gbk", "# R?me 罗马")]
    )
    def test_an_encoding_that_lacks_characters_does_not_stop_it(self, encoding: str, expected: str) -> None:
        raw = io.BytesIO()
        stream = io.TextIOWrapper(raw, encoding=encoding, newline="\n")
        DocumentOutput.to_stream(stream).begin("Röme 罗马")
        assert raw.getvalue().decode(encoding) == expected

    def test_text_is_cleaned_first(self) -> None:
        stream = io.StringIO()
        output = DocumentOutput.to_stream(stream, clean=lambda text: text.replace("\x1b", ""))
        output.begin("Rome\x1b[31m")
        assert stream.getvalue() == "# Rome[31m"

    def test_a_reader_that_goes_away_is_named(self) -> None:
        class Closed(io.StringIO):
            def write(self, text: str) -> NoReturn:
                raise BrokenPipeError

        with pytest.raises(OutputError, match="went away"):
            DocumentOutput.to_stream(Closed()).begin("Rome")
