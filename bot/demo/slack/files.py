"""The two-step upload: `files.getUploadURLExternal`, raw bytes, `files.completeUploadExternal`."""

from typing import Any

from bot.demo.slack.conversations import known_channel, thread_root
from bot.demo.slack.state import Json, Message, Refused, Workspace

PNG = b"\x89PNG\r\n\x1a\n"


def picture(slack: Workspace, file_id: str) -> bytes | None:
    """The bytes of an uploaded PNG, the only kind of file that the page shows."""
    _, content = slack.uploads.get(file_id, ("", b""))
    return content if content.startswith(PNG) else None


def get_upload_url(slack: Workspace, arguments: Json) -> Json:
    """files.getUploadURLExternal."""
    name = arguments.get("filename")
    try:
        length = int(arguments.get("length") or 0)
    except ValueError:
        length = 0
    if not isinstance(name, str) or not name or length <= 0:
        raise Refused("invalid_arguments")
    file_id = slack.next_id("F")
    slack.uploads[file_id] = (name, b"")
    return {"upload_url": f"{slack.origin}/slack/upload/{file_id}", "file_id": file_id}


def complete_upload(slack: Workspace, arguments: Json) -> Json:
    """files.completeUploadExternal: the files, and a message that shows them when a channel is given."""
    asked = arguments.get("files")
    if not isinstance(asked, list) or not asked:
        raise Refused("invalid_arguments")
    files = [_file(slack, item) for item in asked]
    if arguments.get("channel_id"):
        channel = known_channel(slack, arguments["channel_id"])
        if slack.app.bot_user_id not in channel.members:
            raise Refused("not_in_channel")
        names = ", ".join(file["title"] for file in files if not file["picture"])
        said = [arguments.get("initial_comment") or "", f"📎 {names}" if names else ""]
        text = "\n".join(filter(None, said))
        thread_ts = thread_root(slack, channel, arguments.get("thread_ts"))
        author = slack.app.bot_user_id
        ts = slack.next_ts()
        message = Message(channel.id, ts, author, text, [], thread_ts, from_bot=True, files=tuple(files))
        slack.put(message)
    return {"files": files}


def _file(slack: Workspace, item: Any) -> Json:
    file_id = item.get("id") if isinstance(item, dict) else None
    name, content = slack.uploads.get(str(file_id), ("", b""))
    if not content:
        raise Refused("file_not_found")
    return {"id": file_id, "title": item.get("title") or name, "picture": content.startswith(PNG)}
