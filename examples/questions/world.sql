-- Countries and rivers. Populations in millions (about 2020), areas in km2, lengths in km; public facts, rounded.
CREATE TABLE country (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, capital TEXT NOT NULL, continent TEXT NOT NULL,
    population_millions REAL NOT NULL, area_km2 INTEGER NOT NULL
);
CREATE TABLE river (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, length_km INTEGER NOT NULL, mouth TEXT NOT NULL,
    country_id INTEGER NOT NULL REFERENCES country (id)
);
INSERT INTO country (id, name, capital, continent, population_millions, area_km2) VALUES
    (1, 'Brazil', 'Brasília', 'South America', 213, 8515770), (2, 'Peru', 'Lima', 'South America', 33, 1285216),
    (3, 'Colombia', 'Bogotá', 'South America', 51, 1141748), (4, 'Argentina', 'Buenos Aires', 'South America', 45, 2780400),
    (5, 'Chile', 'Santiago', 'South America', 19, 756102), (6, 'Egypt', 'Cairo', 'Africa', 102, 1002450),
    (7, 'Kenya', 'Nairobi', 'Africa', 54, 580367), (8, 'Nigeria', 'Abuja', 'Africa', 206, 923768),
    (9, 'Mozambique', 'Maputo', 'Africa', 31, 801590), (10, 'DR Congo', 'Kinshasa', 'Africa', 90, 2344858),
    (11, 'Germany', 'Berlin', 'Europe', 83, 357022), (12, 'France', 'Paris', 'Europe', 67, 551695),
    (13, 'Romania', 'Bucharest', 'Europe', 19, 238397), (14, 'Portugal', 'Lisbon', 'Europe', 10, 92212),
    (15, 'Netherlands', 'Amsterdam', 'Europe', 17, 41850), (16, 'China', 'Beijing', 'Asia', 1411, 9596961),
    (17, 'India', 'New Delhi', 'Asia', 1380, 3287263), (18, 'Japan', 'Tokyo', 'Asia', 126, 377975),
    (19, 'Vietnam', 'Hanoi', 'Asia', 97, 331212), (20, 'Myanmar', 'Naypyidaw', 'Asia', 54, 676578),
    (21, 'Russia', 'Moscow', 'Europe', 144, 17098242), (22, 'Canada', 'Ottawa', 'North America', 38, 9984670),
    (23, 'United States', 'Washington', 'North America', 331, 9833517), (24, 'Australia', 'Canberra', 'Oceania', 26, 7692024);
INSERT INTO river (name, length_km, mouth, country_id) VALUES
    ('Nile', 6650, 'Mediterranean Sea', 6), ('Amazon', 6400, 'Atlantic Ocean', 1), ('Yangtze', 6300, 'East China Sea', 16),
    ('Mississippi', 3766, 'Gulf of Mexico', 23), ('Yellow River', 5464, 'Bohai Sea', 16), ('Congo', 4700, 'Atlantic Ocean', 10),
    ('Mekong', 4350, 'South China Sea', 19), ('Mackenzie', 4241, 'Beaufort Sea', 22), ('Niger', 4180, 'Gulf of Guinea', 8),
    ('Volga', 3530, 'Caspian Sea', 21), ('Danube', 2850, 'Black Sea', 13), ('Zambezi', 2574, 'Indian Ocean', 9),
    ('Ganges', 2525, 'Bay of Bengal', 17), ('Irrawaddy', 2170, 'Andaman Sea', 20), ('Rhine', 1230, 'North Sea', 15),
    ('Loire', 1006, 'Atlantic Ocean', 12), ('Tagus', 1007, 'Atlantic Ocean', 14), ('Shinano', 367, 'Sea of Japan', 18),
    ('Murray', 2508, 'Southern Ocean', 24);
