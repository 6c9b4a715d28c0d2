from ends import done


def noop(sent_at):
    done(sent_at)
    return 1
