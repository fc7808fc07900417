"""The one exception that is meant for the person at the keyboard."""


class UserError(Exception):
    """Something the user can mend.

    The message is one line that says what is wrong and how to mend it. The
    command line prints it without a stack and exits with status 2.
    """
