/*
 * The ordinary logger call: encode a record and append its row, without the interpreter between.
 *
 * `_record` and `spool` are the reference and own every rule. `Call.put` does what they do for a
 * record of plain values and a spool that is open; everything else it hands back to them, whole and
 * untouched. The tests compare both for each record that they encode.
 *
 * What keeps it safe:
 * - No Python code runs while a dict or list of the application is read. What needs Python (a
 *   message to format, a text to judge) comes before or after that, with references of our own.
 * - Nothing is allocated from the first look at the spool until the row is counted, so neither a
 *   signal handler nor a finalizer, neither another thread nor a fork comes in between. Before that
 *   moment nothing has happened; after it the row is written and counted.
 * - Nothing is imported.
 *
 * The functions return 1 for yes, 0 for "hand the record back", and -1 for an exception that must
 * go on to the caller, such as that of a signal handler.
 */

#define Py_LIMITED_API 0x030A0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <math.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Bytes of the longest row that is encoded here. */
#define MOST_BYTES (32 * 1024)
/* Room before a row for {"writer_id":"...","seq":..., which take 87 bytes. */
#define FRONT 128
/* Levels of an object, fields and secrets of a record. */
#define MOST_LEVELS 32
#define MOST_FIELDS 64
#define MOST_SECRETS 16
#define MOST_COLUMNS 64
#define MOST_ATTRIBUTES 32
/* Names that are remembered, and the bytes of the longest of them. */
#define KNOWN_NAMES 512
#define LONGEST_NAME 64
/* Stretches of an object that a search passes over, and the characters at the end of each that it
 * does not: what follows them decides. */
#define MOST_GAPS 128
#define LEFT_OF_GAP 2
/* Places to which a search may return. */
#define MOST_RETURNS 128
/* Steps of a search for each byte, on average. Python decides about a text that takes more. */
#define STEPS_PER_BYTE 16
#define STEPS_AT_LEAST 4096
/* A write that takes longer waited for the disk: `_SLOW_SECONDS` of `spool/_held_write.py`. */
#define SLOW_SECONDS 0.005

/* Neither yes nor no. */
#define UNKNOWN 2

/* The kinds of names, in the bits above the number of a column. */
enum { SKIPPED, HANDED_BACK, TEXT, CONTENT, UINT16, UINT32, ADDRESS, OUTCOME, METADATA };
#define KIND_BITS 8

/* The operations of a program, as in `program.py`. */
enum { SET, SPLIT, JUMP, MATCH, END, BOUNDARY, LOOP };
/* Behind a text, where a search may look on. */
#define ZEROS 5
/* No step. */
#define NONE 0xFFFF
/* Bits of a character's code, and all of three characters. */
#define CODE_BITS 5
#define GRAMS ((1u << 3 * CODE_BITS) - 1)

/*
 * Objects of Python and numbers, by the names of the arguments of `Call`; `ordinary.py` says what
 * they are. Then the names that are looked up in a call.
 */
#define OBJECTS(X)                                                                                 \
    X(record_type) X(attributes) X(kinds) X(columns) X(placeholder) X(context) X(no_fields)        \
    X(proxy_type) X(uuid_type) X(printable_types) X(modules) X(trace_name) X(context_name)         \
    X(span_columns) X(span_ids) X(time_of) X(counter) X(id_middle) X(service_name) X(outcomes)     \
    X(addresses) X(read_address) X(verdicts) X(hidden) X(redacted) X(known_texts) X(may_be_in)     \
    X(may_be_in_json) X(program) X(reentry) X(intake) X(queue) X(adopted) X(listener)              \
    X(new_state) X(held_write) X(put_line) X(put_record) X(get_message) X(zero)
#define NUMBERS(X)                                                                                 \
    X(most_row_bytes) X(most_waiting_bytes) X(most_segment_bytes) X(most_segment_rows)             \
    X(row_overhead) X(short_text) X(kind_bits) X(given_kind) X(unusual_flags) X(odd_flags)         \
    X(longest_state)
#define NAMES(X)                                                                                   \
    X(_is_busy) X(_deferred) X(is_closed) X(_has_disk_failed) X(writer) X(_open) X(_prefix)        \
    X(counts) X(pending) X(handle) X(month) X(first_seq) X(bytes_before) X(finished_bytes)         \
    X(bytes) X(state) X(_released_until) X(_note_slow_disk) X(get_current) X(getMessage)

enum {
#define X(name) O_##name,
    OBJECTS(X)
#undef X
#define X(name) N_##name,
        NAMES(X)
#undef X
            OBJECTS_COUNT
};
enum {
#define X(name) I_##name,
    NUMBERS(X)
#undef X
        NUMBERS_COUNT
};
static const char *const object_names[] = {
#define X(name) #name,
    OBJECTS(X)
#undef X
};
static const char *const name_texts[] = {
#define X(name) #name,
    NAMES(X)
#undef X
};
static const char *const number_names[] = {
#define X(name) #name,
    NUMBERS(X)
#undef X
};

typedef struct {
    const char *at;
    Py_ssize_t size;
} Chars;

/* A name, its verdict, and whether a search may pass over it. */
typedef struct {
    PyObject *name, *verdict;
    /* Set when the name comes again. */
    int is_checked;
    int is_clean;
    /* The same together with the mark behind it. */
    int is_clean_with_mark;
    /* The name as the key of an object, if it is short and needs no escapes. */
    Py_ssize_t key_size;
    char key[LONGEST_NAME + 3];
} KnownName;

/* A name of a field, and what it is. */
typedef struct {
    PyObject *name;
    int kind_and_column;
} KnownKind;

/* A stretch of a row in which nothing that may be a secret begins. */
typedef struct {
    Py_ssize_t start, end;
} Gap;

/* A value under a secret name, of which `Walk.hidden` must say whether it is secret. */
typedef struct {
    PyObject *value;
    PyObject *verdict;
    Py_ssize_t start, end;
} Secret;

typedef struct {
    PyObject *name;
    PyObject *value;
    int column;
    int kind;
} Field;

/* The memory of one call. */
typedef struct {
    Py_ssize_t size;
    /* Whether a text had to be escaped, or is not ASCII; whether it has a quote or a backslash. */
    int is_special, has_quote;
    /* Bytes of the secrets that were replaced. */
    Py_ssize_t replaced;
    int secrets_count;
    Secret secrets[MOST_SECRETS];
    int gaps_count;
    Gap gaps[MOST_GAPS];
    PyObject *given;
    PyObject *bound;
    PyObject *attributes[MOST_ATTRIBUTES];
    PyObject *message;
    PyObject *span;
    int texts_count, contents_count, checked_count, others_count, metadata_count;
    /* Whether metadata is given, perhaps without anything in it. */
    int has_metadata;
    Field texts[MOST_FIELDS];
    Field contents[MOST_FIELDS];
    Field checked[MOST_FIELDS];
    Field others[MOST_FIELDS];
    Field metadata[MOST_FIELDS];
    /* The row, behind room for what comes before it. */
    char *out;
    char memory[FRONT + MOST_BYTES + ZEROS + 1];
} Work;

typedef struct {
    uint16_t operation, first, second, guard_of_first, guard_of_second;
} Step;

/* The open segment, as it was when a row was appended last. */
typedef struct {
    PyObject *writer, *opened, *counts, *prefix;
    Py_ssize_t size, rows, first_seq, bytes_before;
    char month[7];
} Segment;

typedef struct {
    PyObject_HEAD
    PyObject *object[OBJECTS_COUNT];
    Py_ssize_t number[NUMBERS_COUNT];
    Work *spare;
    Segment segment;
    /* The same objects come again and again: names in the code of the application. */
    KnownName names[KNOWN_NAMES];
    KnownKind kinds[KNOWN_NAMES];
    KnownName long_name;
    Py_ssize_t verdicts_count;
    Py_ssize_t taken, handed_back;
    Chars column[MOST_COLUMNS];
    int columns_count;
    int attributes_count;
    /* The names of a record's own attributes, which `attributes` holds, in their order. */
    struct {
        PyObject *name;
        int is_read;
    } attribute[MOST_ATTRIBUTES];
    /* The places of those that are read. */
    int name, msg, args, levelname, exc_info, exc_text, stack_info, created;
    int request_id, trace_id, span_id, service_name;
    /* The last second that was formatted, and its text. */
    double second;
    char second_text[20];
    long long id_milliseconds;
    char id_text[29];
    unsigned char is_mask_begin[128];
    /* The tables of `program.Program`. */
    const unsigned char *fold, *places;
    const uint16_t *lists, *parts;
    const Step *steps;
    const unsigned char (*sets)[16];
} Call;

#define OBJECT(name) (self->object[O_##name])
#define NAME(name) (self->object[N_##name])
#define NUMBER(name) (self->number[I_##name])

/* Reading attributes of objects that are our own, which runs no Python code. */

/* Read an attribute that is a number of at least 0; -1 if it is not. */
static Py_ssize_t number_of(PyObject *object, PyObject *name)
{
    PyObject *value = PyObject_GetAttr(object, name);
    Py_ssize_t number = -1;
    if (value != NULL) {
        number = PyLong_Check(value) ? PyLong_AsSsize_t(value) : -1;
        Py_DECREF(value);
    }
    if (PyErr_Occurred())
        PyErr_Clear();
    return number;
}

/* Return whether an attribute is this very object. */
static int is_now(PyObject *object, PyObject *name, PyObject *wanted)
{
    PyObject *value = PyObject_GetAttr(object, name);
    if (value == NULL) {
        PyErr_Clear();
        return 0;
    }
    Py_DECREF(value);
    return value == wanted;
}

static PyObject *attribute_of(PyObject *object, PyObject *name)
{
    PyObject *value = PyObject_GetAttr(object, name);
    if (value == NULL)
        PyErr_Clear();
    return value;
}

/* Writing JSON, in the form of orjson. */

static int has_room(const Work *work, Py_ssize_t size)
{
    return size <= MOST_BYTES - work->size;
}

static int put_bytes(Work *work, const char *at, Py_ssize_t size)
{
    if (!has_room(work, size))
        return 0;
    memcpy(work->out + work->size, at, (size_t)size);
    work->size += size;
    return 1;
}

#define PUT(work, literal) put_bytes(work, literal, sizeof(literal) - 1)

static int put_byte(Work *work, char byte)
{
    if (!has_room(work, 1))
        return 0;
    work->out[work->size++] = byte;
    return 1;
}

/* Whether one of eight bytes is a control character, a quote, a backslash or not of ASCII. */
static int has_special(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
    uint64_t quote = word ^ (ones * '"'), slash = word ^ (ones * '\\');
    uint64_t found = (word - ones * 0x20) | (quote - ones) | (slash - ones) | word;
    return (found & high) != 0;
}

static int is_special_byte(unsigned char byte)
{
    return byte < 0x20 || byte == '"' || byte == '\\' || byte >= 0x80;
}

/* Copy a text as long as it needs no escapes; return how many bytes were copied. */
static Py_ssize_t copy_plain(char *to, const char *at, Py_ssize_t size)
{
    Py_ssize_t index = 0;
    uint64_t word;
    for (; index + 8 <= size; index += 8) {
        memcpy(&word, at + index, 8);
        if (has_special(word))
            break;
        memcpy(to + index, &word, 8);
    }
    if (index + 8 > size && size >= 8) {
        /* The last eight once more, in one step. */
        memcpy(&word, at + size - 8, 8);
        if (!has_special(word)) {
            memcpy(to + size - 8, &word, 8);
            return size;
        }
    }
    for (; index < size && !is_special_byte((unsigned char)at[index]); index++)
        to[index] = at[index];
    return index;
}

static int put_escaped(Work *work, const char *at, Py_ssize_t size)
{
    static const char digits[] = "0123456789abcdef";
    for (Py_ssize_t index = 0; index < size; index++) {
        unsigned char byte = (unsigned char)at[index];
        char escape[6] = "\\u00";
        int length = 2;
        switch (byte) {
        case '"':
        case '\\':
            escape[1] = (char)byte;
            work->has_quote = 1;
            break;
        case '\b': escape[1] = 'b'; break;
        case '\t': escape[1] = 't'; break;
        case '\n': escape[1] = 'n'; break;
        case '\f': escape[1] = 'f'; break;
        case '\r': escape[1] = 'r'; break;
        default:
            if (byte >= 0x20) {
                if (!put_byte(work, (char)byte))
                    return 0;
                continue;
            }
            escape[4] = digits[byte >> 4];
            escape[5] = digits[byte & 15];
            length = 6;
        }
        if (!put_bytes(work, escape, length))
            return 0;
    }
    return 1;
}

/* The UTF-8 of an exact str, or 0 for one with lone surrogates. */
static int utf8_of(PyObject *text, Chars *chars)
{
    chars->at = PyUnicode_AsUTF8AndSize(text, &chars->size);
    if (chars->at != NULL)
        return 1;
    PyErr_Clear();
    return 0;
}

/* Put the inside of a text in quotes. */
static int put_inside(Work *work, Chars text)
{
    if (!has_room(work, text.size))
        return 0;
    Py_ssize_t plain = copy_plain(work->out + work->size, text.at, text.size);
    work->size += plain;
    if (plain == text.size)
        return 1;
    work->is_special = 1;
    return put_escaped(work, text.at + plain, text.size - plain);
}

static int put_chars(Work *work, Chars text)
{
    if (!put_byte(work, '"'))
        return 0;
    return put_inside(work, text) && put_byte(work, '"');
}

static int put_text(Work *work, PyObject *text)
{
    Chars chars;
    return utf8_of(text, &chars) && put_chars(work, chars);
}

static char *digits_of(unsigned long long number, char *end)
{
    do
        *--end = (char)('0' + number % 10);
    while ((number /= 10) != 0);
    return end;
}

static int put_integer(Work *work, PyObject *value)
{
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow)
        return 0;
    char text[24], *end = text + sizeof(text);
    unsigned long long size = (unsigned long long)number;
    char *at = digits_of(number < 0 ? 0 - size : size, end);
    if (number < 0)
        *--at = '-';
    return put_bytes(work, at, end - at);
}

static int put_float(Work *work, PyObject *value)
{
    double number = PyFloat_AsDouble(value);
    double size = fabs(number);
    /* Python and orjson write these in the same way, without an exponent. */
    if (!(number == 0.0 || (size >= 1e-3 && size < 1e15)))
        return 0;
    char *text = PyOS_double_to_string(number, 'r', 0, Py_DTSF_ADD_DOT_0, NULL);
    if (text == NULL) {
        PyErr_Clear();
        return 0;
    }
    int is_put = put_bytes(work, text, (Py_ssize_t)strlen(text));
    PyMem_Free(text);
    return is_put;
}

static int put_value(Call *self, Work *work, PyObject *value, int level);
static int is_clean_alone(const Call *self, const char *from, Py_ssize_t size);

/* Find out whether a search may pass over a name, and over a name and its mark. */
static void check_name(const Call *self, KnownName *known)
{
    char text[2 * LONGEST_NAME + 8];
    Chars name, mark;
    known->is_checked = 1;
    if (!utf8_of(known->name, &name) || !utf8_of(OBJECT(redacted), &mark) ||
        name.size > LONGEST_NAME || mark.size > LONGEST_NAME)
        return;
    text[0] = '"';
    if (copy_plain(text + 1, name.at, name.size) != name.size)
        return;
    Py_ssize_t size = name.size + 1;
    text[size++] = '"';
    text[size++] = ':';
    memcpy(known->key, text, (size_t)size);
    known->key_size = size;
    known->is_clean = is_clean_alone(self, text, size);
    text[size++] = '"';
    memcpy(text + size, mark.at, (size_t)mark.size);
    size += mark.size;
    text[size++] = '"';
    /* Behind a member stands one of two signs. */
    text[size++] = ',';
    known->is_clean_with_mark = is_clean_alone(self, text, size);
    text[size - 1] = '}';
    known->is_clean_with_mark = known->is_clean_with_mark && is_clean_alone(self, text, size);
}

/* The first of two places that an object may have among the known names. */
static unsigned place_of_name(PyObject *name)
{
    /* Fibonacci hashing: Knuth, The Art of Computer Programming 6.4. */
    return (unsigned)((uint64_t)(uintptr_t)name * 0x9E3779B97F4A7C15u >> 40) % KNOWN_NAMES & ~1u;
}

/* Return what is known about a name. Runs no Python code. */
static KnownName *known_name(Call *self, PyObject *name)
{
    KnownName *known = &self->names[place_of_name(name)];
    if (known->name != name && known->name != NULL)
        known++;
    if (known->name == name) {
        if (!known->is_checked)
            check_name(self, known);
        return known;
    }
    PyObject *verdict = PyDict_GetItemWithError(OBJECT(verdicts), name);
    if (PyUnicode_GetLength(name) > LONGEST_NAME) {
        /* It is not kept: it may be as long as an application makes it. */
        memset(&self->long_name, 0, offsetof(KnownName, key));
        self->long_name.verdict = verdict;
        return &self->long_name;
    }
    PyObject *name_before = known->name, *verdict_before = known->verdict;
    memset(known, 0, offsetof(KnownName, key));
    Py_INCREF(name);
    Py_XINCREF(verdict);
    known->name = name;
    known->verdict = verdict;
    /* Exact texts and numbers: this runs no finalizer. */
    Py_XDECREF(name_before);
    Py_XDECREF(verdict_before);
    return known;
}

/* Note that a search may pass over what was put from *start* on. */
static void add_gap(Work *work, Py_ssize_t start)
{
    if (work->gaps_count < MOST_GAPS) {
        work->gaps[work->gaps_count].start = start;
        work->gaps[work->gaps_count].end = work->size - LEFT_OF_GAP;
        work->gaps_count++;
    }
}

/*
 * Put the value of a name. One under a name that is known to be a secret's, and says nothing of
 * what stands beside it, is replaced, or noted for `Walk.hidden`.
 */
static int put_member(Call *self, Work *work, PyObject *name, PyObject *value, int level)
{
    Py_ssize_t start = work->size;
    if (!PyUnicode_CheckExact(name))
        return 0;
    const KnownName *known = known_name(self, name);
    if (known->key_size > 0 ? !put_bytes(work, known->key, known->key_size)
                            : !put_text(work, name) || !put_byte(work, ':'))
        return 0;
    long verdict = known->verdict == NULL ? 0 : PyLong_AsLong(known->verdict);
    long kind = verdict & NUMBER(kind_bits);
    if (!PyUnicode_CheckExact(value) || kind == 0 || kind == NUMBER(given_kind) ||
        (verdict & NUMBER(unusual_flags))) {
        if (known->is_clean)
            add_gap(work, start);
        return put_value(self, work, value, level);
    }
    Chars text;
    if (!utf8_of(value, &text))
        return 0;
    /* `is_surely_secret`, of texts of ASCII. */
    if (text.size == PyUnicode_GetLength(value) && text.size > NUMBER(longest_state) &&
        !self->is_mask_begin[(unsigned char)text.at[0] & 127] && !(verdict & NUMBER(odd_flags))) {
        if (!put_text(work, OBJECT(redacted)))
            return 0;
        work->has_quote = work->has_quote || memchr(text.at, '"', (size_t)text.size) != NULL ||
                          memchr(text.at, '\\', (size_t)text.size) != NULL;
        work->replaced += text.size;
        if (known->is_clean_with_mark)
            add_gap(work, start);
        return 1;
    }
    if (work->secrets_count == MOST_SECRETS)
        return 0;
    Secret *secret = &work->secrets[work->secrets_count];
    secret->start = work->size;
    int was_special = work->is_special;
    if (!put_chars(work, text))
        return 0;
    /* It goes away. */
    work->is_special = was_special;
    secret->end = work->size;
    Py_INCREF(value);
    Py_INCREF(known->verdict);
    secret->value = value;
    secret->verdict = known->verdict;
    work->secrets_count++;
    return 1;
}

static int put_dict(Call *self, Work *work, PyObject *dict, int level)
{
    PyObject *name, *value;
    Py_ssize_t place = 0;
    char before = '{';
    while (PyDict_Next(dict, &place, &name, &value)) {
        if (!put_byte(work, before) || !put_member(self, work, name, value, level))
            return 0;
        before = ',';
    }
    return (before == ',' || put_byte(work, '{')) && put_byte(work, '}');
}

static int put_sequence(Call *self, Work *work, PyObject *values, int level)
{
    int is_list = PyList_CheckExact(values);
    Py_ssize_t size = is_list ? PyList_Size(values) : PyTuple_Size(values);
    if (!put_byte(work, '['))
        return 0;
    for (Py_ssize_t index = 0; index < size; index++) {
        PyObject *value =
            is_list ? PyList_GetItem(values, index) : PyTuple_GetItem(values, index);
        if ((index > 0 && !put_byte(work, ',')) || !put_value(self, work, value, level))
            return 0;
    }
    return put_byte(work, ']');
}

/* Put a plain value. Runs no Python code. */
static int put_value(Call *self, Work *work, PyObject *value, int level)
{
    if (PyUnicode_CheckExact(value))
        return put_text(work, value);
    if (value == Py_None)
        return PUT(work, "null");
    if (value == Py_True)
        return PUT(work, "true");
    if (value == Py_False)
        return PUT(work, "false");
    if (PyLong_CheckExact(value))
        return put_integer(work, value);
    if (Py_TYPE(value) == &PyFloat_Type)
        return put_float(work, value);
    if (level == MOST_LEVELS)
        return 0;
    if (PyDict_CheckExact(value))
        return put_dict(self, work, value, level + 1);
    if (PyList_CheckExact(value) || PyTuple_CheckExact(value))
        return put_sequence(self, work, value, level + 1);
    return 0;
}

/* Searching for what may be a secret. */

static int is_word(unsigned char byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || byte == '_' ||
           (byte >= 'a' && byte <= 'z');
}

static int is_in(const Call *self, unsigned set, unsigned char byte)
{
    return self->sets[set][byte >> 3] >> (byte & 7) & 1;
}

/* A text that is searched, and how many steps more that may take. */
typedef struct {
    const unsigned char *text;
    Py_ssize_t size;
    /* Whether it goes on behind its end, with what nobody knows. */
    int is_open;
    Py_ssize_t steps_left;
} Search;

/*
 * Run the program from one step on a text from one place on; return whether it finds something, or
 * comes to the end of an open text.
 */
static int runs(const Call *self, Search *search, Py_ssize_t at, unsigned step)
{
    const unsigned char *text = search->text;
    Py_ssize_t size = search->size;
    struct {
        uint16_t step;
        int32_t at;
    } returns[MOST_RETURNS];
    int depth = 0;
    for (;;) {
        if (--search->steps_left < 0 || (search->is_open && at >= size))
            return 1;
        const Step *now = &self->steps[step];
        switch (now->operation) {
        case SET:
            if (at < size && is_in(self, now->first, text[at])) {
                at++;
                step++;
                continue;
            }
            break;
        case SPLIT:
            if (at < size) {
                /* Only the way that may go on, where one of them cannot. */
                if (!is_in(self, now->guard_of_first, text[at])) {
                    step = now->second;
                    continue;
                }
                if (!is_in(self, now->guard_of_second, text[at])) {
                    step = now->first;
                    continue;
                }
            }
            if (depth == MOST_RETURNS)
                return 1;
            returns[depth].step = now->second;
            returns[depth].at = (int32_t)at;
            depth++;
            step = now->first;
            continue;
        case LOOP:
            /* Read characters of a set, and go on where what follows may begin. */
            for (;;) {
                if (search->is_open && at >= size)
                    return 1;
                if (at >= size || is_in(self, now->guard_of_second, text[at])) {
                    if (at < size && is_in(self, now->first, text[at])) {
                        if (depth == MOST_RETURNS)
                            return 1;
                        returns[depth].step = (uint16_t)step;
                        returns[depth].at = (int32_t)at + 1;
                        depth++;
                    }
                    step = now->second;
                    break;
                }
                if (!is_in(self, now->first, text[at])) {
                    step = NONE;
                    break;
                }
                if (--search->steps_left < 0)
                    return 1;
                at++;
            }
            if (step != NONE)
                continue;
            break;
        case JUMP:
            step = now->first;
            continue;
        case END:
            if (at == size) {
                step++;
                continue;
            }
            break;
        case BOUNDARY: {
            int before = at > 0 && is_word(text[at - 1]), behind = at < size && is_word(text[at]);
            if (before != behind) {
                step++;
                continue;
            }
            break;
        }
        default: /* MATCH */
            return 1;
        }
        if (depth == 0)
            return 0;
        depth--;
        step = returns[depth].step;
        at = returns[depth].at;
    }
}

/* Return whether a part of the program that may begin at *at* finds something. */
static int begins_part(const Call *self, Search *search, Py_ssize_t at)
{
    const unsigned char *fold = self->fold, *text = search->text + at;
    unsigned gram = (fold[text[0]] << CODE_BITS | fold[text[1]]) << CODE_BITS | fold[text[2]];
    const uint16_t *part = self->parts + self->lists[gram] + 1, *end = part + 4 * part[-1];
    for (; part < end; part += 4)
        if ((search->is_open || is_in(self, part[3], text[3])) && is_in(self, part[2], text[0]) &&
            runs(self, search, at + part[1], part[0]))
            return 1;
    return 0;
}

/* Return whether something is found that begins from *from* to *to*. */
static int is_suspect_from(const Call *self, Search *search, Py_ssize_t from, Py_ssize_t to)
{
    const unsigned char *text = search->text, *fold = self->fold, *places = self->places;
    unsigned gram = fold[text[from]] << CODE_BITS | fold[text[from + 1]];
    /* Bits of the parts that may have begun here, one character before, and two. */
    unsigned begun = 0;
    for (Py_ssize_t at = from; at < to + 2; at++) {
        gram = gram << CODE_BITS | fold[text[at + 2]];
        begun = (begun << 1 | 1) & places[gram & GRAMS];
        if ((begun & 4) && begins_part(self, search, at - 2))
            return 1;
    }
    return 0;
}

static Search search_in(const char *from, Py_ssize_t size)
{
    Search search = {(const unsigned char *)from, size, 0, STEPS_AT_LEAST + STEPS_PER_BYTE * size};
    return search;
}

/*
 * Return whether a text of ASCII, with a sign before it and ZEROS behind it, may hold a secret.
 */
static int is_suspect(const Call *self, const char *from, Py_ssize_t size)
{
    Search search = search_in(from, size);
    return is_suspect_from(self, &search, 0, size);
}

/*
 * Return whether nothing that begins in a text, except in its last two characters, may be part of a
 * secret, whatever stands behind it. Before it stands no letter.
 */
static int is_clean_alone(const Call *self, const char *from, Py_ssize_t size)
{
    Search search = search_in(from, size);
    search.is_open = 1;
    for (Py_ssize_t at = 0; at < size - LEFT_OF_GAP; at++)
        if (begins_part(self, &search, at))
            return 0;
    return 1;
}

/* Return whether there may be a secret in what was put from *start* on. */
static int has_suspect(const Call *self, Work *work, Py_ssize_t start)
{
    memset(work->out + work->size, 0, ZEROS);
    Search search = search_in(work->out + start, work->size - start);
    Py_ssize_t from = 0;
    for (int index = 0; index < work->gaps_count; index++) {
        const Gap *gap = &work->gaps[index];
        Py_ssize_t to = gap->start - start;
        if (from < to && is_suspect_from(self, &search, from, to))
            return 1;
        from = gap->end - start;
    }
    return is_suspect_from(self, &search, from, search.size);
}

static int is_true(PyObject *found)
{
    if (found == NULL)
        return -1;
    int is = PyObject_IsTrue(found);
    Py_DECREF(found);
    return is;
}

/* Put a text and return whether it is surely without a secret. */
static int put_clean_text(Call *self, Work *work, PyObject *text)
{
    Py_ssize_t start = work->size;
    Chars chars;
    work->is_special = work->gaps_count = 0;
    if (!utf8_of(text, &chars) || !put_byte(work, '"') || !put_inside(work, chars))
        return 0;
    /* From its quote on, which stands for the beginning of a text. */
    int is_clean = !work->is_special && !has_suspect(self, work, start);
    if (!put_byte(work, '"'))
        return 0;
    if (is_clean)
        return 1;
    int is_known = PySet_Contains(OBJECT(known_texts), text);
    if (is_known)
        return is_known;
    int may = is_true(PyObject_CallFunctionObjArgs(OBJECT(may_be_in), text, NULL));
    return may < 0 ? -1 : !may;
}

/* Replace the noted secrets, if `Walk.hidden` says that they are. */
static int hide(Call *self, Work *work)
{
    Chars mark;
    if (work->secrets_count == 0)
        return 1;
    work->gaps_count = 0; /* they move */
    if (!utf8_of(OBJECT(redacted), &mark))
        return 0;
    while (work->secrets_count > 0) {
        Secret *secret = &work->secrets[work->secrets_count - 1];
        PyObject *shown = PyObject_CallFunctionObjArgs(OBJECT(hidden), secret->value,
                                                       secret->verdict, NULL);
        if (shown == NULL) {
            if (!PyErr_ExceptionMatches(PyExc_RecursionError))
                return -1;
            PyErr_Clear();
            return 0;
        }
        int is_secret = shown == OBJECT(redacted);
        Py_DECREF(shown);
        Py_ssize_t growth = mark.size + 2 - (secret->end - secret->start);
        if (!is_secret || growth > MOST_BYTES - work->size)
            return 0;
        memmove(work->out + secret->end + growth, work->out + secret->end,
                (size_t)(work->size - secret->end));
        memcpy(work->out + secret->start + 1, mark.at, (size_t)mark.size);
        work->out[secret->start + mark.size + 1] = '"';
        work->size += growth;
        work->replaced += secret->end - secret->start;
        Py_DECREF(secret->value);
        Py_DECREF(secret->verdict);
        work->secrets_count--;
    }
    return 1;
}

/* Put fields as one object, and return whether it is surely without a secret. */
static int put_clean_object(Call *self, Work *work, const Field *fields, int count)
{
    Py_ssize_t start = work->size;
    work->is_special = work->has_quote = work->gaps_count = 0;
    work->replaced = 0;
    for (int index = 0; index < count; index++) {
        const Field *field = &fields[index];
        if (!put_byte(work, index == 0 ? '{' : ','))
            return 0;
        if (field->name != NULL) {
            if (!put_member(self, work, field->name, field->value, 1))
                return 0;
        } else {
            Chars key = self->column[field->column];
            if (!put_bytes(work, key.at, key.size) || !put_value(self, work, field->value, 1))
                return 0;
        }
    }
    if (!put_byte(work, '}'))
        return 0;
    int is_hidden = hide(self, work);
    if (is_hidden != 1)
        return is_hidden;
    Py_ssize_t size = work->size - start;
    /* `Redactor._quickly` leaves these to `Walk`, which looks at more than the secrets themselves. */
    if (work->replaced > 0 && (work->has_quote || size + work->replaced > NUMBER(short_text)))
        return 0;
    if (!work->is_special && !has_suspect(self, work, start))
        return 1;
    PyObject *text = PyUnicode_DecodeUTF8(work->out + start, size, "strict");
    if (text == NULL)
        return -1;
    int may = is_true(PyObject_CallFunctionObjArgs(OBJECT(may_be_in_json), text, NULL));
    Py_DECREF(text);
    return may < 0 ? -1 : !may;
}

/* Collecting the fields of a record. */

static int note(Field *fields, int *count, PyObject *name, PyObject *value, int kind, int column)
{
    if (*count == MOST_FIELDS)
        return 0;
    Field *field = &fields[(*count)++];
    Py_XINCREF(name);
    Py_INCREF(value);
    field->name = name;
    field->value = value;
    field->kind = kind;
    field->column = column;
    return 1;
}

/* The kind of a name and its column, or -1 for a name of metadata. */
static int kind_and_column(Call *self, PyObject *name)
{
    KnownKind *known = &self->kinds[place_of_name(name)];
    if (known->name != name && known->name != NULL)
        known++;
    if (known->name == name)
        return known->kind_and_column;
    PyObject *found = PyDict_GetItemWithError(OBJECT(kinds), name), *before = known->name;
    int number = found == NULL ? -1 : (int)PyLong_AsLong(found);
    if (PyUnicode_GetLength(name) > LONGEST_NAME)
        return number;
    Py_INCREF(name);
    known->name = name;
    known->kind_and_column = number;
    Py_XDECREF(before); /* an exact text: this runs no finalizer */
    return number;
}

static int kind_of(Call *self, PyObject *name)
{
    return kind_and_column(self, name) >> KIND_BITS;
}

/* Note the fields of the metadata that is given. Runs no Python code. */
static int collect_metadata(Call *self, Work *work, PyObject *value)
{
    PyObject *name, *item;
    Py_ssize_t place = 0;
    if (!PyDict_CheckExact(value) || work->has_metadata)
        return 0;
    work->has_metadata = 1;
    while (PyDict_Next(value, &place, &name, &item)) {
        if (!PyUnicode_CheckExact(name))
            return 0;
        /* Such as the marks, which only the encoder sets. */
        if (kind_of(self, name) == HANDED_BACK)
            return 0;
        if (!note(work->metadata, &work->metadata_count, name, item, 0, 0))
            return 0;
    }
    return 1;
}

/* Note one field for its column, or for metadata. Runs no Python code. */
static int collect(Call *self, Work *work, PyObject *name, PyObject *value)
{
    if (!PyUnicode_CheckExact(name))
        return 0;
    int number = kind_and_column(self, name), kind = number >> KIND_BITS;
    if (kind == SKIPPED)
        return 1;
    if (value == Py_None || (PyObject *)Py_TYPE(value) == OBJECT(placeholder))
        return 1;
    if (number < 0)
        return note(work->others, &work->others_count, name, value, 0, 0);
    int column = number & ((1 << KIND_BITS) - 1);
    switch (kind) {
    case TEXT:
        return note(work->texts, &work->texts_count, NULL, value, kind, column);
    case CONTENT:
        return note(work->contents, &work->contents_count, NULL, value, kind, column);
    case METADATA:
        return collect_metadata(self, work, value);
    case UINT16:
    case UINT32:
    case ADDRESS:
    case OUTCOME:
        return note(work->checked, &work->checked_count, NULL, value, kind, column);
    default:
        return 0;
    }
}

static int collect_bound(Call *self, Work *work)
{
    PyObject *fields = PyObject_CallNoArgs(OBJECT(context));
    if (fields == NULL)
        return -1;
    if (fields == OBJECT(no_fields)) {
        Py_DECREF(fields);
        return 1;
    }
    if (!PyDict_CheckExact(fields) && (PyObject *)Py_TYPE(fields) != OBJECT(proxy_type)) {
        Py_DECREF(fields);
        return 0;
    }
    work->bound = PyMapping_Items(fields);
    Py_DECREF(fields);
    if (work->bound == NULL)
        return -1;
    Py_ssize_t size = PyList_Size(work->bound);
    for (Py_ssize_t index = 0; index < size; index++) {
        PyObject *pair = PyList_GetItem(work->bound, index);
        if (!PyTuple_CheckExact(pair) || PyTuple_Size(pair) != 2)
            return 0;
        PyObject *name = PyTuple_GetItem(pair, 0), *value = PyTuple_GetItem(pair, 1);
        if (!PyUnicode_CheckExact(name))
            return 0;
        /* Bound and given metadata are merged; an attribute of a record overrides no field. */
        int kind = kind_of(self, name);
        if (kind == METADATA || kind == SKIPPED)
            return 0;
        PyObject *extra = PyDict_GetItemWithError(work->given, name);
        if (extra == NULL && PyErr_Occurred())
            return -1; /* of a key that is a text of a foreign type */
        if (extra != NULL && extra != Py_None &&
            (PyObject *)Py_TYPE(extra) != OBJECT(placeholder))
            continue;
        if (!collect(self, work, name, value))
            return 0;
    }
    return 1;
}

/* Read the record's own attributes and its extras. Runs no Python code. */
static int collect_given(Call *self, Work *work)
{
    PyObject *name, *value;
    Py_ssize_t place = 0;
    for (int index = 0; index < self->attributes_count; index++) {
        /* In the order of `LogRecord`, whose names are interned: none was deleted. */
        if (!PyDict_Next(work->given, &place, &name, &value) || name != self->attribute[index].name)
            return 0;
        if (self->attribute[index].is_read) {
            Py_INCREF(value);
            work->attributes[index] = value;
        }
    }
    while (PyDict_Next(work->given, &place, &name, &value))
        if (!collect(self, work, name, value))
            return 0;
    return 1;
}

static int collect_message(Call *self, Work *work)
{
    PyObject *msg = work->attributes[self->msg], *args = work->attributes[self->args];
    /* An application may have replaced the method. */
    if (!PyUnicode_CheckExact(msg) ||
        !is_now(OBJECT(record_type), NAME(getMessage), OBJECT(get_message)))
        return 0;
    if (args == Py_None || (PyTuple_CheckExact(args) && PyTuple_Size(args) == 0)) {
        Py_INCREF(msg);
        work->message = msg;
        return 1;
    }
    if (!PyTuple_CheckExact(args))
        return 0;
    /* Handed back, the message is formatted once more: only objects that do not notice. */
    for (Py_ssize_t index = 0; index < PyTuple_Size(args); index++) {
        PyObject *type = (PyObject *)Py_TYPE(PyTuple_GetItem(args, index));
        if (PySet_Contains(OBJECT(printable_types), type) != 1)
            return 0;
    }
    work->message = PyUnicode_Format(msg, args);
    if (work->message != NULL)
        return PyUnicode_CheckExact(work->message);
    if (!PyErr_ExceptionMatches(PyExc_Exception))
        return -1;
    PyErr_Clear();
    return 0;
}

/* Get the ids of the active span, if there is one. */
static int collect_span(Call *self, Work *work)
{
    if (PyDict_GetItemWithError(OBJECT(modules), OBJECT(trace_name)) == NULL)
        return 1;
    PyObject *module = PyDict_GetItemWithError(OBJECT(modules), OBJECT(context_name));
    if (module != NULL && module != Py_None) {
        PyObject *get = PyObject_GetAttr(module, NAME(get_current));
        PyObject *context = get == NULL ? NULL : PyObject_CallNoArgs(get);
        Py_XDECREF(get);
        if (context == NULL) {
            /* It is being imported: `active_span_ids` knows what that means. */
            if (!PyErr_ExceptionMatches(PyExc_AttributeError))
                return -1;
            PyErr_Clear();
        } else {
            int is_empty = PyDict_Check(context) && PyDict_Size(context) == 0;
            Py_DECREF(context);
            if (is_empty)
                return 1;
        }
    }
    work->span = PyObject_CallNoArgs(OBJECT(span_ids));
    if (work->span == NULL)
        return -1;
    if (work->span == Py_None)
        Py_CLEAR(work->span);
    return 1;
}

static Field *text_of_column(Work *work, int column)
{
    for (int index = 0; index < work->texts_count; index++)
        if (work->texts[index].column == column)
            return &work->texts[index];
    return NULL;
}

static int set_text(Work *work, int column, PyObject *text)
{
    Field *field = text_of_column(work, column);
    if (field == NULL)
        return note(work->texts, &work->texts_count, NULL, text, TEXT, column);
    Py_INCREF(text);
    Py_DECREF(field->value);
    field->value = text;
    return 1;
}

/* 0 also for a value that is no text: it is not empty. */
static int is_empty_text(const Field *field)
{
    return field == NULL ||
           (PyUnicode_CheckExact(field->value) && PyUnicode_GetLength(field->value) == 0);
}

static int add_span(Call *self, Work *work)
{
    if (work->span == NULL)
        return 1;
    const int columns[] = {self->request_id, self->trace_id, self->span_id};
    for (int index = 0; index < 3; index++) {
        PyObject *name = PyTuple_GetItem(OBJECT(span_columns), index);
        PyObject *extra = PyDict_GetItemWithError(work->given, name);
        if (extra == NULL && PyErr_Occurred())
            return -1;
        if (extra != NULL && extra != Py_None &&
            !is_empty_text(text_of_column(work, columns[index])))
            continue;
        if (!set_text(work, columns[index], PyTuple_GetItem(work->span, index == 2)))
            return 0;
    }
    return 1;
}

/* Writing the row. */

static int put_time(Call *self, Work *work, PyObject *created)
{
    double seconds = PyFloat_AsDouble(created);
    double second = floor(seconds);
    if (!PUT(work, "{\"event_time\":\""))
        return 0;
    if (second == self->second) {
        double rounded = (seconds - second) * 1e6 + 0.5;
        unsigned long long microseconds = rounded < 1e6 ? (unsigned long long)rounded : 999999;
        /* The leading 1 keeps the zeros. */
        char text[24], *end = text + sizeof(text), *at = digits_of(1000000 + microseconds, end);
        *at = '.';
        return put_bytes(work, self->second_text, 19) && put_bytes(work, at, end - at);
    }
    PyObject *text = PyObject_CallFunctionObjArgs(OBJECT(time_of), created, NULL);
    if (text == NULL)
        return -1;
    Chars chars;
    int is_put = PyUnicode_CheckExact(text) && utf8_of(text, &chars) && chars.size == 26;
    if (is_put) {
        memcpy(self->second_text, chars.at, 19);
        self->second = second;
        is_put = put_bytes(work, chars.at, chars.size);
    }
    Py_DECREF(text);
    return is_put;
}

/* Put an id, which counts as used from now on. */
static int fill_id(Call *self, char *at, double created)
{
    long long milliseconds = (long long)(created * 1000);
    if (milliseconds != self->id_milliseconds) {
        Chars middle;
        if (!utf8_of(OBJECT(id_middle), &middle) || middle.size != 15)
            return 0;
        snprintf(self->id_text, 14, "%08llx-%04llx", (milliseconds >> 16) & 0xFFFFFFFF,
                 milliseconds & 0xFFFF);
        memcpy(self->id_text + 13, middle.at, 15);
        self->id_milliseconds = milliseconds;
    }
    PyObject *next = PyIter_Next(OBJECT(counter));
    if (next == NULL)
        return PyErr_Occurred() ? -1 : 0;
    unsigned long long count = PyLong_AsUnsignedLongLongMask(next) & 0xFFFFFFFF;
    Py_DECREF(next);
    memcpy(at, self->id_text, 28);
    for (int index = 35; index >= 28; index--, count >>= 4)
        at[index] = "0123456789abcdef"[count & 15];
    return 1;
}

/* Put a text that is not redacted: the level, or the logger's name. */
static int put_name(Work *work, PyObject *text)
{
    Chars chars;
    return PyUnicode_CheckExact(text) && utf8_of(text, &chars) &&
           memchr(chars.at, '\x1b', (size_t)chars.size) == NULL && put_chars(work, chars);
}

/* Put an address that is stored as it is given. */
static int put_address(Call *self, Work *work, PyObject *value)
{
    PyObject *read = PyDict_GetItemWithError(OBJECT(addresses), value);
    if (read != NULL) {
        Py_INCREF(read);
    } else {
        read = PyObject_CallFunctionObjArgs(OBJECT(read_address), value, NULL);
        if (read == NULL)
            return -1;
    }
    int is_put = PyUnicode_CheckExact(read) && PyUnicode_Compare(read, value) == 0 &&
                 put_text(work, read);
    Py_DECREF(read);
    return is_put;
}

/* Put the columns that accept some values only, and the outcome. */
static int put_checked(Call *self, Work *work)
{
    long long status = 0;
    int has_outcome = 0;
    for (int index = 0; index < work->checked_count; index++) {
        const Field *field = &work->checked[index];
        Chars key = self->column[field->column];
        if (!put_byte(work, ',') || !put_bytes(work, key.at, key.size))
            return 0;
        if (field->kind == UINT16 || field->kind == UINT32) {
            if (!PyLong_CheckExact(field->value))
                return 0;
            int overflow;
            long long number = PyLong_AsLongLongAndOverflow(field->value, &overflow);
            long long most = field->kind == UINT16 ? 0xFFFF : 0xFFFFFFFF;
            if (overflow || number < 0 || number > most || !put_integer(work, field->value))
                return 0;
            if (field->kind == UINT16)
                status = number; /* the only column of its kind */
            continue;
        }
        if (!PyUnicode_CheckExact(field->value))
            return 0;
        if (field->kind == OUTCOME) {
            PyObject *known = PyDict_GetItemWithError(OBJECT(outcomes), field->value);
            if (known == NULL || !put_text(work, known))
                return 0;
        } else {
            int is_read = put_address(self, work, field->value);
            if (is_read != 1)
                return is_read;
        }
        has_outcome = has_outcome || field->kind == OUTCOME;
    }
    if (has_outcome)
        return 1;
    int is_failure = status >= 400 || (status >= 1 && status <= 16);
    for (int index = 0; index < work->contents_count; index++) {
        const Field *field = &work->contents[index];
        Chars key = self->column[field->column];
        if (key.size == sizeof("\"error_message\":") - 1 &&
            memcmp(key.at, "\"error_message\":", (size_t)key.size) == 0)
            is_failure = is_failure || !is_empty_text(field);
    }
    if (is_failure)
        return PUT(work, ",\"outcome\":\"failure\"");
    return status >= 100 ? PUT(work, ",\"outcome\":\"success\"")
                         : PUT(work, ",\"outcome\":\"unknown\"");
}

static int put_texts(Call *self, Work *work)
{
    if (!PUT(work, ",\"message\":"))
        return 0;
    int is_clean = put_clean_text(self, work, work->message);
    for (int index = 0; is_clean == 1 && index < work->texts_count; index++) {
        PyObject *value = work->texts[index].value;
        Chars key = self->column[work->texts[index].column];
        if (!put_byte(work, ',') || !put_bytes(work, key.at, key.size))
            return 0;
        if (PyUnicode_CheckExact(value)) {
            is_clean = put_clean_text(self, work, value);
            continue;
        }
        if (!PyLong_CheckExact(value) && (PyObject *)Py_TYPE(value) != OBJECT(uuid_type))
            return 0;
        int overflow = 0;
        if (PyLong_CheckExact(value))
            (void)PyLong_AsLongLongAndOverflow(value, &overflow);
        if (overflow)
            return 0;
        PyObject *text = PyObject_Str(value);
        if (text == NULL) {
            if (!PyErr_ExceptionMatches(PyExc_Exception))
                return -1;
            PyErr_Clear(); /* Python says so in the row */
            return 0;
        }
        is_clean = PyUnicode_CheckExact(text) ? put_clean_text(self, work, text) : 0;
        Py_DECREF(text);
    }
    return is_clean;
}

/* Return whether no field of the metadata that is given has the name of another field. */
static int is_disjoint(const Work *work)
{
    for (int index = 0; index < work->metadata_count; index++)
        for (int other = 0; other < work->others_count; other++)
            if (PyUnicode_Compare(work->metadata[index].name, work->others[other].name) == 0)
                return 0;
    return 1;
}

/*
 * Put the fields that are no columns, as keys of the row and in metadata, and there also those of
 * the metadata that is given.
 */
static int put_others(Call *self, Work *work)
{
    Py_ssize_t start = work->size, size = 0;
    int is_clean = 1;
    if (!is_disjoint(work))
        return 0;
    if (work->others_count > 0) {
        is_clean = put_clean_object(self, work, work->others, work->others_count);
        if (is_clean != 1)
            return is_clean;
        /* Without its braces. */
        size = work->size - start - 2;
        work->out[start] = ',';
        work->size--;
    }
    if (!PUT(work, ",\"metadata\":{") || !has_room(work, size))
        return 0;
    memcpy(work->out + work->size, work->out + start + 1, (size_t)size);
    work->size += size;
    if (work->metadata_count > 0) {
        start = work->size;
        is_clean = put_clean_object(self, work, work->metadata, work->metadata_count);
        if (is_clean != 1)
            return is_clean;
        work->size--;
        if (size > 0) {
            work->out[start] = ',';
        } else {
            memmove(work->out + start, work->out + start + 1, (size_t)(work->size - start - 1));
            work->size--;
        }
    }
    return put_byte(work, '}');
}

static void forget_names(Call *self)
{
    for (int index = 0; index < KNOWN_NAMES; index++) {
        Py_CLEAR(self->names[index].name);
        Py_CLEAR(self->names[index].verdict);
    }
}

/* Encode the record into *work*. */
static int encode(Call *self, Work *work, PyObject *record)
{
    int done;
    if ((PyObject *)Py_TYPE(record) != OBJECT(record_type))
        return 0;
    work->given = PyObject_GenericGetDict(record, NULL);
    if (work->given == NULL)
        return -1;
    Py_ssize_t verdicts_count = PyDict_Size(OBJECT(verdicts));
    if (verdicts_count != self->verdicts_count) {
        /* One of the names may have a verdict now. */
        forget_names(self);
        self->verdicts_count = verdicts_count;
    }
    if ((done = collect_bound(self, work)) != 1 || (done = collect_given(self, work)) != 1)
        return done;
    PyObject *created = work->attributes[self->created];
    if (work->attributes[self->exc_info] != Py_None ||
        work->attributes[self->exc_text] != Py_None ||
        work->attributes[self->stack_info] != Py_None || Py_TYPE(created) != &PyFloat_Type)
        return 0;
    if ((done = collect_message(self, work)) != 1 || (done = collect_span(self, work)) != 1 ||
        (done = add_span(self, work)) != 1 || (done = put_time(self, work, created)) != 1)
        return done;
    if (PyUnicode_GetLength(OBJECT(service_name)) > 0 &&
        is_empty_text(text_of_column(work, self->service_name)) &&
        !set_text(work, self->service_name, OBJECT(service_name)))
        return 0;
    Py_ssize_t id_place = 0;
    if (OBJECT(counter) != Py_None) {
        if (!PUT(work, "\",\"event_id\":\""))
            return 0;
        id_place = work->size;
        if (!PUT(work, "------------------------------------"))
            return 0;
    }
    if (!PUT(work, "\",\"level\":") || !put_name(work, work->attributes[self->levelname]) ||
        !PUT(work, ",\"logger\":") || !put_name(work, work->attributes[self->name]))
        return 0;
    if ((done = put_checked(self, work)) != 1 || (done = put_texts(self, work)) != 1)
        return done;
    if (work->contents_count > 0) {
        Py_ssize_t start = work->size;
        done = put_clean_object(self, work, work->contents, work->contents_count);
        if (done != 1)
            return done;
        work->out[start] = ',';
        work->size--;
    }
    if ((work->others_count > 0 || work->has_metadata) && (done = put_others(self, work)) != 1)
        return done;
    if (!put_byte(work, '}') || work->size > NUMBER(most_row_bytes))
        return 0;
    return id_place ? fill_id(self, work->out + id_place, PyFloat_AsDouble(created)) : 1;
}

static void forget(Field *fields, int *count)
{
    while (*count > 0) {
        Field *field = &fields[--*count];
        Py_CLEAR(field->name);
        Py_CLEAR(field->value);
    }
}

static Work *take_work(Call *self)
{
    Work *work = self->spare;
    self->spare = NULL;
    if (work == NULL) {
        work = PyMem_Malloc(sizeof(Work));
        if (work == NULL)
            return NULL;
        memset(work, 0, offsetof(Work, memory));
        work->out = work->memory + FRONT;
    }
    work->size = 0;
    return work;
}

/* Let go of the references, which may run finalizers, and keep the memory for the next call. */
static void give_back(Call *self, Work *work)
{
    forget(work->texts, &work->texts_count);
    forget(work->contents, &work->contents_count);
    forget(work->checked, &work->checked_count);
    forget(work->others, &work->others_count);
    forget(work->metadata, &work->metadata_count);
    work->has_metadata = 0;
    while (work->secrets_count > 0) {
        Secret *secret = &work->secrets[--work->secrets_count];
        Py_CLEAR(secret->value);
        Py_CLEAR(secret->verdict);
    }
    for (int index = 0; index < self->attributes_count; index++)
        Py_CLEAR(work->attributes[index]);
    Py_CLEAR(work->message);
    Py_CLEAR(work->span);
    Py_CLEAR(work->bound);
    Py_CLEAR(work->given);
    if (self->spare == NULL)
        self->spare = work;
    else
        PyMem_Free(work);
}

/* Appending the row. */

static double monotonic(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void forget_segment(Segment *segment)
{
    Py_CLEAR(segment->writer);
    Py_CLEAR(segment->opened);
    Py_CLEAR(segment->counts);
    Py_CLEAR(segment->prefix);
}

/* Read the open segment; return whether there is one. */
static int read_segment(Call *self, Segment *segment)
{
    segment->writer = attribute_of(OBJECT(intake), NAME(writer));
    if (segment->writer == NULL || segment->writer == Py_None)
        return 0;
    segment->opened = attribute_of(segment->writer, NAME(_open));
    if (segment->opened == NULL || segment->opened == Py_None)
        return 0;
    segment->counts = attribute_of(segment->opened, NAME(counts));
    segment->prefix = attribute_of(segment->writer, NAME(_prefix));
    PyObject *month = attribute_of(segment->opened, NAME(month));
    Chars chars = {NULL, 0};
    int is_known = segment->counts != NULL && PyTuple_CheckExact(segment->counts) &&
                   PyTuple_Size(segment->counts) == 2 && segment->prefix != NULL &&
                   PyBytes_CheckExact(segment->prefix) &&
                   PyBytes_Size(segment->prefix) <= FRONT - 24 && month != NULL &&
                   PyUnicode_CheckExact(month) && utf8_of(month, &chars) && chars.size == 7;
    if (is_known) {
        memcpy(segment->month, chars.at, 7);
        segment->size = PyLong_AsSsize_t(PyTuple_GetItem(segment->counts, 0));
        segment->rows = PyLong_AsSsize_t(PyTuple_GetItem(segment->counts, 1));
        segment->first_seq = number_of(segment->opened, NAME(first_seq));
        segment->bytes_before = number_of(segment->opened, NAME(bytes_before));
        is_known = segment->size >= 0 && segment->rows >= 0 && segment->first_seq >= 1 &&
                   segment->bytes_before >= 0;
    }
    Py_XDECREF(month);
    return is_known;
}

/* Learn the open segment anew; return whether there is one. */
static int learn_segment(Call *self)
{
    Segment found = {0}, before;
    int is_known = read_segment(self, &found);
    /* All at once: what is let go of may run Python code. */
    before = self->segment;
    if (is_known)
        self->segment = found;
    else
        memset(&self->segment, 0, sizeof(self->segment));
    if (!is_known)
        forget_segment(&found);
    forget_segment(&before);
    return is_known && self->segment.counts != NULL;
}

/* Return whether the spool is as `learn_segment` has found it. */
static int knows_segment(Call *self)
{
    const Segment *segment = &self->segment;
    return segment->counts != NULL && is_now(OBJECT(intake), NAME(writer), segment->writer) &&
           is_now(segment->writer, NAME(_open), segment->opened) &&
           is_now(segment->opened, NAME(counts), segment->counts);
}

/* Return whether `Reentry.put`, and what it calls, would only append the row. */
static int is_ordinary(Call *self, const Work *work, Py_ssize_t line_size)
{
    const Segment *segment = &self->segment;
    if (!is_now(OBJECT(reentry), NAME(_is_busy), Py_False) ||
        !is_now(OBJECT(intake), NAME(is_closed), Py_False) ||
        !is_now(OBJECT(intake), NAME(_has_disk_failed), Py_False) ||
        is_now(OBJECT(listener), NAME(state), OBJECT(new_state)) ||
        number_of(segment->opened, NAME(pending)) != 0)
        return 0;
    PyObject *deferred = attribute_of(OBJECT(reentry), NAME(_deferred));
    Py_ssize_t waiting = deferred == NULL ? -1 : PyObject_Size(deferred);
    Py_XDECREF(deferred);
    /* The first row of a segment wakes the listener, and the last one seals it. */
    if (waiting != 0 || segment->rows < 1 || segment->rows + 1 >= NUMBER(most_segment_rows) ||
        segment->size + work->size + NUMBER(row_overhead) > NUMBER(most_segment_bytes) ||
        memcmp(segment->month, work->out + 15, 7) != 0)
        return 0;
    Py_ssize_t finished = number_of(OBJECT(queue), NAME(finished_bytes));
    Py_ssize_t adopted = number_of(OBJECT(adopted), NAME(bytes));
    return finished >= 0 && adopted >= 0 &&
           segment->bytes_before + segment->size - finished + adopted + line_size <=
               NUMBER(most_waiting_bytes);
}

/* Return whether writes may hold the interpreter lock: the disk was not slow of late. */
static int may_hold(Call *self, double now)
{
    PyObject *released = attribute_of(OBJECT(held_write), NAME(_released_until));
    int may = released != NULL && Py_TYPE(released) == &PyFloat_Type &&
              now >= PyFloat_AsDouble(released);
    Py_XDECREF(released);
    return may;
}

/* Put the start of the line in place of the brace that opens the row; return where it begins. */
static char *begin_line(const Segment *segment, Work *work)
{
    Py_ssize_t size = PyBytes_Size(segment->prefix);
    work->out[0] = ',';
    work->out[work->size] = '\n';
    char *at =
        digits_of((unsigned long long)(segment->first_seq + segment->rows), work->out) - size;
    memcpy(at, PyBytes_AsString(segment->prefix), (size_t)size);
    return at;
}

/* Return a pair of numbers, or NULL. */
static PyObject *pair_of(Py_ssize_t first, Py_ssize_t second)
{
    PyObject *one = PyLong_FromSsize_t(first), *other = PyLong_FromSsize_t(second);
    PyObject *pair = one != NULL && other != NULL ? PyTuple_New(2) : NULL;
    if (pair == NULL) {
        Py_XDECREF(one);
        Py_XDECREF(other);
        return NULL;
    }
    PyTuple_SetItem(pair, 0, one);
    PyTuple_SetItem(pair, 1, other);
    return pair;
}

/*
 * Append the row of *work* to the open segment, as `Spool.put` would; return UNKNOWN if the segment
 * is another one than `learn_segment` has found.
 */
static int append_once(Call *self, Work *work)
{
    PyObject *counts, *counted = NULL, *pending = NULL;
    int is_appended = 0;
    double began = 0, ended = 0;
    Segment *segment = &self->segment;
    if (segment->counts == NULL)
        return UNKNOWN;
    counts = segment->counts;
    Py_INCREF(counts);
    char *line = begin_line(segment, work);
    Py_ssize_t size = work->out + work->size + 1 - line;
    counted = pair_of(segment->size + size, segment->rows + 1);
    pending = PyLong_FromSsize_t(size);
    if (counted == NULL || pending == NULL)
        goto done;
    /*
     * From here to the end of the write and the counts no Python code runs and nothing is
     * allocated: what is true here stays true. Before, a finalizer may have run, and may have put a
     * row with this very number: then the counts are others.
     */
    began = ended = monotonic();
    if (segment->counts != counts || !knows_segment(self)) {
        is_appended = UNKNOWN;
        goto done;
    }
    if (!may_hold(self, began) || !is_ordinary(self, work, size))
        goto done;
    Py_ssize_t handle = number_of(segment->opened, NAME(handle));
    if (handle < 0 || PyObject_SetAttr(segment->opened, NAME(pending), pending) < 0)
        goto done;
    /* An error or a part of the row leaves *pending*, and `OpenSegment.settle` looks at the file. */
    if (write((int)handle, line, (size_t)size) == size &&
        PyObject_SetAttr(segment->opened, NAME(counts), counted) == 0 &&
        PyObject_SetAttr(segment->opened, NAME(pending), OBJECT(zero)) == 0) {
        is_appended = 1;
        PyObject *before = segment->counts;
        segment->counts = counted;
        counted = before;
        segment->size += size;
        segment->rows++;
    }
    ended = monotonic();
done:
    Py_DECREF(counts);
    Py_XDECREF(counted);
    Py_XDECREF(pending);
    if (PyErr_Occurred())
        PyErr_Clear();
    /* Whoever gets the row next wants it as it was. */
    work->out[0] = '{';
    if (ended - began > SLOW_SECONDS) {
        PyObject *now = PyFloat_FromDouble(ended);
        PyObject *noted = now == NULL ? NULL
                                      : PyObject_CallMethodObjArgs(OBJECT(held_write),
                                                                   NAME(_note_slow_disk), now, NULL);
        Py_XDECREF(now);
        if (noted == NULL)
            /* The row is appended, whatever a signal handler raised here. */
            return -1;
        Py_DECREF(noted);
    }
    return is_appended;
}

static int append(Call *self, Work *work)
{
    if (OBJECT(held_write) == Py_None || work->size == MOST_BYTES)
        return 0;
    int done = append_once(self, work);
    if (done == UNKNOWN)
        done = learn_segment(self) ? append_once(self, work) : 0;
    return done == UNKNOWN ? 0 : done;
}

/* The methods. */

static PyObject *line_and_month(Work *work)
{
    return Py_BuildValue("(y#s#)", work->out, work->size, work->out + 15, (Py_ssize_t)7);
}

PyDoc_STRVAR(encode_doc, "Return what `RecordEncoder.encode` does, or None if it has to do it.");

static PyObject *Call_encode(Call *self, PyObject *record)
{
    Work *work = take_work(self);
    if (work == NULL)
        return PyErr_NoMemory();
    PyObject *result = NULL;
    int done = encode(self, work, record);
    if (done == 1) {
        result = line_and_month(work);
    } else if (done == 0) {
        Py_INCREF(Py_None);
        result = Py_None;
    }
    give_back(self, work);
    return result;
}

PyDoc_STRVAR(put_doc,
             "put(record, timeout): encode a record and put it into the spool, or let *put_line* or "
             "*put_record* do it.");

static PyObject *Call_put(Call *self, PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "put() takes a record and a timeout");
        return NULL;
    }
    Work *work = take_work(self);
    if (work == NULL)
        return PyErr_NoMemory();
    PyObject *result = NULL, *line = NULL;
    int done = encode(self, work, arguments[0]);
    int is_encoded = done == 1;
    if (is_encoded && (done = append(self, work)) == 0)
        line = line_and_month(work);
    give_back(self, work);
    if (done == 1) {
        self->taken++;
        Py_INCREF(Py_None);
        return Py_None;
    }
    if (done < 0)
        return NULL;
    if (!is_encoded) {
        self->handed_back++;
        return PyObject_CallFunctionObjArgs(OBJECT(put_record), arguments[0], arguments[1], NULL);
    }
    if (line != NULL) {
        result = PyObject_CallFunctionObjArgs(OBJECT(put_line), PyTuple_GetItem(line, 0),
                                              PyTuple_GetItem(line, 1), arguments[1], NULL);
        Py_DECREF(line);
    }
    return result;
}

PyDoc_STRVAR(is_suspect_doc, "Return whether there may be a secret in a text of ASCII.");

static PyObject *Call_is_suspect(Call *self, PyObject *text)
{
    Chars chars;
    if (!PyUnicode_CheckExact(text) || !utf8_of(text, &chars) ||
        chars.size != PyUnicode_GetLength(text) || chars.size > INT32_MAX / 2) {
        PyErr_SetString(PyExc_ValueError, "a text of ASCII is needed");
        return NULL;
    }
    char *copy = PyMem_Malloc((size_t)chars.size + 1 + ZEROS);
    if (copy == NULL)
        return PyErr_NoMemory();
    copy[0] = '"';
    memcpy(copy + 1, chars.at, (size_t)chars.size);
    memset(copy + 1 + chars.size, 0, ZEROS);
    int is = is_suspect(self, copy, chars.size + 1);
    PyMem_Free(copy);
    return PyBool_FromLong(is);
}

/* Making a Call. */

static int place_of(Call *self, const char *wanted)
{
    for (int index = 0; index < self->attributes_count; index++)
        if (PyUnicode_CompareWithASCIIString(self->attribute[index].name, wanted) == 0) {
            self->attribute[index].is_read = 1;
            return index;
        }
    PyErr_Format(PyExc_ValueError, "attributes: %s is missing", wanted);
    return -1;
}

static int read_attributes(Call *self)
{
    PyObject *attributes = OBJECT(attributes);
    if (!PyTuple_CheckExact(attributes) || PyTuple_Size(attributes) > MOST_ATTRIBUTES) {
        PyErr_SetString(PyExc_ValueError, "attributes: a tuple of few names is needed");
        return 0;
    }
    self->attributes_count = (int)PyTuple_Size(attributes);
    for (int index = 0; index < self->attributes_count; index++) {
        self->attribute[index].name = PyTuple_GetItem(attributes, index);
        if (!PyUnicode_CheckExact(self->attribute[index].name)) {
            PyErr_SetString(PyExc_TypeError, "attributes: names are needed");
            return 0;
        }
    }
    return (self->name = place_of(self, "name")) >= 0 &&
           (self->msg = place_of(self, "msg")) >= 0 &&
           (self->args = place_of(self, "args")) >= 0 &&
           (self->levelname = place_of(self, "levelname")) >= 0 &&
           (self->exc_info = place_of(self, "exc_info")) >= 0 &&
           (self->exc_text = place_of(self, "exc_text")) >= 0 &&
           (self->stack_info = place_of(self, "stack_info")) >= 0 &&
           (self->created = place_of(self, "created")) >= 0;
}

static int column_of(Call *self, const char *key)
{
    for (int index = 0; index < self->columns_count; index++)
        if (strcmp(self->column[index].at, key) == 0)
            return index;
    PyErr_Format(PyExc_ValueError, "columns: %s is missing", key);
    return -1;
}

static int read_columns(Call *self)
{
    PyObject *columns = OBJECT(columns);
    if (!PyTuple_CheckExact(columns) || PyTuple_Size(columns) > MOST_COLUMNS) {
        PyErr_SetString(PyExc_ValueError, "columns: a tuple of few keys is needed");
        return 0;
    }
    self->columns_count = (int)PyTuple_Size(columns);
    for (int index = 0; index < self->columns_count; index++) {
        char *at;
        if (PyBytes_AsStringAndSize(PyTuple_GetItem(columns, index), &at, NULL) < 0)
            return 0;
        self->column[index].at = at;
        self->column[index].size = (Py_ssize_t)strlen(at);
    }
    return (self->request_id = column_of(self, "\"request_id\":")) >= 0 &&
           (self->trace_id = column_of(self, "\"trace_id\":")) >= 0 &&
           (self->span_id = column_of(self, "\"span_id\":")) >= 0 &&
           (self->service_name = column_of(self, "\"service_name\":")) >= 0;
}

/* The tables are (fold, places, lists, parts, steps, sets), of `program.Program`. */
static int read_program(Call *self)
{
    char *table[6];
    if (!PyTuple_CheckExact(OBJECT(program)) || PyTuple_Size(OBJECT(program)) != 6) {
        PyErr_SetString(PyExc_ValueError, "program: six tables are needed");
        return 0;
    }
    for (int index = 0; index < 6; index++) {
        table[index] = PyBytes_AsString(PyTuple_GetItem(OBJECT(program), index));
        if (table[index] == NULL)
            return 0;
    }
    self->fold = (const unsigned char *)table[0];
    self->places = (const unsigned char *)table[1];
    self->lists = (const uint16_t *)(void *)table[2];
    self->parts = (const uint16_t *)(void *)table[3];
    self->steps = (const Step *)(void *)table[4];
    self->sets = (const unsigned char(*)[16])(void *)table[5];
    return 1;
}

static int read_mask_begins(Call *self, PyObject *text)
{
    Chars chars;
    if (text == NULL || !PyUnicode_CheckExact(text) || !utf8_of(text, &chars)) {
        PyErr_SetString(PyExc_TypeError, "mask_begins: a text is needed");
        return 0;
    }
    for (Py_ssize_t index = 0; index < chars.size; index++)
        if ((unsigned char)chars.at[index] < 128)
            self->is_mask_begin[(unsigned char)chars.at[index]] = 1;
    return 1;
}

static int Call_clear(Call *self)
{
    for (int index = 0; index < OBJECTS_COUNT; index++)
        Py_CLEAR(self->object[index]);
    for (int index = 0; index < KNOWN_NAMES; index++)
        Py_CLEAR(self->kinds[index].name);
    forget_segment(&self->segment);
    forget_names(self);
    return 0;
}

static int Call_traverse(Call *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    for (int index = 0; index < OBJECTS_COUNT; index++)
        Py_VISIT(self->object[index]);
    Py_VISIT(self->segment.writer);
    Py_VISIT(self->segment.opened);
    Py_VISIT(self->segment.counts);
    return 0;
}

static void Call_dealloc(Call *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    PyObject_GC_UnTrack(self);
    Call_clear(self);
    PyMem_Free(self->spare);
    release(self);
    Py_DECREF(type);
}

static int read_arguments(Call *self, PyObject *given)
{
    for (int index = 0; index < O_zero + 1; index++) {
        PyObject *object = PyDict_GetItemString(given, object_names[index]);
        if (object == NULL) {
            PyErr_Format(PyExc_TypeError, "Call() needs the argument %s", object_names[index]);
            return 0;
        }
        Py_INCREF(object);
        self->object[index] = object;
    }
    for (int index = 0; index < NUMBERS_COUNT; index++) {
        PyObject *object = PyDict_GetItemString(given, number_names[index]);
        self->number[index] = object == NULL ? -1 : PyLong_AsSsize_t(object);
        if (self->number[index] < 0) {
            PyErr_Clear();
            PyErr_Format(PyExc_TypeError, "Call() needs a number for %s", number_names[index]);
            return 0;
        }
    }
    for (int index = N__is_busy; index < OBJECTS_COUNT; index++) {
        self->object[index] = PyUnicode_InternFromString(name_texts[index - N__is_busy]);
        if (self->object[index] == NULL)
            return 0;
    }
    const int dicts[] = {O_kinds, O_modules, O_outcomes, O_addresses, O_verdicts};
    for (size_t index = 0; index < sizeof(dicts) / sizeof(*dicts); index++)
        if (!PyDict_Check(self->object[dicts[index]])) {
            PyErr_Format(PyExc_TypeError, "%s: a dict is needed", object_names[dicts[index]]);
            return 0;
        }
    if (!PyUnicode_CheckExact(OBJECT(redacted)) || !PyUnicode_CheckExact(OBJECT(service_name)) ||
        !PyUnicode_CheckExact(OBJECT(id_middle)) || !PyTuple_CheckExact(OBJECT(span_columns)) ||
        PyTuple_Size(OBJECT(span_columns)) != 3) {
        PyErr_SetString(PyExc_TypeError, "redacted, service_name, id_middle: texts are needed; "
                                         "span_columns: three names");
        return 0;
    }
    return read_attributes(self) && read_columns(self) && read_program(self) &&
           read_mask_begins(self, PyDict_GetItemString(given, "mask_begins"));
}

static PyObject *Call_new(PyTypeObject *type, PyObject *args, PyObject *given)
{
    if (PyTuple_Size(args) != 0 || given == NULL) {
        PyErr_SetString(PyExc_TypeError, "Call() takes arguments by name");
        return NULL;
    }
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Call *self = (Call *)allocate(type, 0);
    if (self == NULL)
        return NULL;
    self->second = NAN;
    self->id_milliseconds = -1;
    if (!read_arguments(self, given)) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static PyMethodDef Call_methods[] = {
    {"encode", (PyCFunction)(void *)Call_encode, METH_O, encode_doc},
    {"put", (PyCFunction)(void *)Call_put, METH_FASTCALL, put_doc},
    {"is_suspect", (PyCFunction)(void *)Call_is_suspect, METH_O, is_suspect_doc},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef Call_members[] = {
    {"taken", T_PYSSIZET, offsetof(Call, taken), READONLY, "Rows that `put` appended itself."},
    {"handed_back", T_PYSSIZET, offsetof(Call, handed_back), READONLY,
     "Records that `put` handed back."},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(call_doc, "The ordinary logger calls of one pipeline; `ordinary.py` makes it.");

static PyType_Slot Call_slots[] = {
    {Py_tp_doc, (void *)call_doc},
    {Py_tp_new, (void *)Call_new},
    {Py_tp_dealloc, (void *)Call_dealloc},
    {Py_tp_traverse, (void *)Call_traverse},
    {Py_tp_clear, (void *)Call_clear},
    {Py_tp_methods, Call_methods},
    {Py_tp_members, Call_members},
    {0, NULL},
};

static PyType_Spec Call_spec = {
    .name = "audit_handler._native._call.Call",
    .basicsize = sizeof(Call),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = Call_slots,
};

static int module_exec(PyObject *module)
{
    PyObject *type = PyType_FromSpec(&Call_spec);
    if (type == NULL)
        return -1;
    int added = PyModule_AddObjectRef(module, "Call", type);
    Py_DECREF(type);
    return added;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, (void *)module_exec},
    {0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_call",
    .m_doc = "The ordinary logger call in C.",
    .m_size = 0,
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__call(void)
{
    return PyModuleDef_Init(&module);
}
