CREATE TABLE IF NOT EXISTS messes (
    name VARCHAR(40) PRIMARY KEY,
    display_name VARCHAR(80) NOT NULL,
    active INTEGER NOT NULL DEFAULT 1,
    alerts_generated_at DATETIME(6),
    alerts_failed_at DATETIME(6)
);
CREATE TABLE IF NOT EXISTS users (
    id {id},
    name VARCHAR(120) NOT NULL,
    email VARCHAR(190) NOT NULL UNIQUE,
    role VARCHAR(20) NOT NULL,
    mess_name VARCHAR(40),
    password_hash VARCHAR(255) NOT NULL,
    FOREIGN KEY (mess_name) REFERENCES messes (name)
);
CREATE TABLE IF NOT EXISTS regular_menu (
    id {id},
    mess_name VARCHAR(40) NOT NULL,
    weekday INTEGER NOT NULL,
    meal VARCHAR(10) NOT NULL,
    items VARCHAR(500) NOT NULL,
    UNIQUE (mess_name, weekday, meal),
    FOREIGN KEY (mess_name) REFERENCES messes (name)
);
CREATE TABLE IF NOT EXISTS temporary_menu (
    id {id},
    created_at DATETIME(6) NOT NULL,
    menu_date DATE NOT NULL,
    mess_name VARCHAR(40) NOT NULL,
    meal VARCHAR(10) NOT NULL,
    item_name VARCHAR(120) NOT NULL,
    category VARCHAR(40) NOT NULL DEFAULT '',
    UNIQUE (menu_date, mess_name, meal, item_name),
    FOREIGN KEY (mess_name) REFERENCES messes (name)
);
CREATE TABLE IF NOT EXISTS non_veg_menu_main (
    id {id},
    menu_date DATE NOT NULL,
    mess_name VARCHAR(40) NOT NULL,
    meal VARCHAR(10) NOT NULL,
    UNIQUE (menu_date, mess_name, meal),
    FOREIGN KEY (mess_name) REFERENCES messes (name)
);
CREATE TABLE IF NOT EXISTS non_veg_menu_items (
    id {id},
    main_id BIGINT NOT NULL,
    item_name VARCHAR(120) NOT NULL,
    price DECIMAL(8, 2) NOT NULL,
    FOREIGN KEY (main_id) REFERENCES non_veg_menu_main (id) ON DELETE CASCADE
);
CREATE TABLE IF NOT EXISTS waste_summary (
    id {id},
    mess_name VARCHAR(40) NOT NULL,
    floor VARCHAR(40) NOT NULL,
    total_waste DECIMAL(8, 2) NOT NULL CHECK (total_waste >= 0),
    waste_date DATE NOT NULL,
    meal VARCHAR(10) NOT NULL DEFAULT '',
    UNIQUE (mess_name, floor, waste_date, meal),
    FOREIGN KEY (mess_name) REFERENCES messes (name)
);
CREATE TABLE IF NOT EXISTS feedback (
    id {id},
    student_id BIGINT NOT NULL,
    mess VARCHAR(40) NOT NULL,
    meal VARCHAR(10) NOT NULL,
    feedback_date DATE NOT NULL,
    rating INTEGER NOT NULL,
    comment VARCHAR(1000) NOT NULL DEFAULT '',
    created_at DATETIME(6) NOT NULL,
    notified_at DATETIME(6),
    UNIQUE (student_id, meal, feedback_date),
    FOREIGN KEY (mess) REFERENCES messes (name)
);
CREATE TABLE IF NOT EXISTS feedback_summary (
    id {id},
    mess VARCHAR(40) NOT NULL,
    meal VARCHAR(10) NOT NULL,
    feedback_date DATE NOT NULL,
    rating DECIMAL(9, 6) NOT NULL,
    rating_count INTEGER NOT NULL,
    UNIQUE (mess, meal, feedback_date),
    FOREIGN KEY (mess) REFERENCES messes (name)
);
CREATE TABLE IF NOT EXISTS mess_alerts (
    id {id},
    mess_name VARCHAR(40) NOT NULL,
    kind VARCHAR(20) NOT NULL,
    subject VARCHAR(40) NOT NULL,
    value DECIMAL(10, 2) NOT NULL,
    message VARCHAR(200) NOT NULL,
    window_start_date DATE NOT NULL,
    window_end_date DATE NOT NULL,
    generated_at DATETIME(6) NOT NULL,
    first_seen_at DATETIME(6) NOT NULL,
    resolved_at DATETIME(6),
    open_marker INTEGER DEFAULT 1,
    acknowledged_by BIGINT,
    acknowledged_at DATETIME(6),
    UNIQUE (mess_name, kind, subject, open_marker),
    FOREIGN KEY (mess_name) REFERENCES messes (name)
);
CREATE TABLE IF NOT EXISTS notifications (
    id {id},
    audience VARCHAR(20) NOT NULL,
    message VARCHAR(2000) NOT NULL,
    kind VARCHAR(30) NOT NULL,
    meal VARCHAR(10),
    dedupe_key VARCHAR(190) NOT NULL UNIQUE,
    created_at DATETIME(6) NOT NULL,
    read_at DATETIME(6),
    email_status VARCHAR(10) NOT NULL DEFAULT 'none'
);
CREATE TABLE IF NOT EXISTS daily_reports (
    id {id},
    report_date DATE NOT NULL,
    mess_name VARCHAR(40) NOT NULL,
    body TEXT NOT NULL,
    created_at DATETIME(6) NOT NULL,
    sent_at DATETIME(6),
    UNIQUE (report_date, mess_name)
);
CREATE TABLE IF NOT EXISTS mails (
    id {id},
    about VARCHAR(20) NOT NULL,
    about_id BIGINT NOT NULL,
    address VARCHAR(190) NOT NULL,
    body TEXT NOT NULL,
    created_at DATETIME(6) NOT NULL,
    status VARCHAR(10) NOT NULL DEFAULT 'pending'
);
CREATE TABLE IF NOT EXISTS rate_limits (
    id VARCHAR(64) PRIMARY KEY,
    attempts TEXT NOT NULL,
    expires_at BIGINT NOT NULL
)
